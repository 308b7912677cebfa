// ringfence-content: builds, verifies and shows files of content.
#include <iostream>

#include "command.h"

int main(int argc, char** argv) {
  return ringfence::content::RunCommand({argv + 1, argv + argc}, std::cout, std::cerr);
}
