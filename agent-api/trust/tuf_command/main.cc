#include <iostream>

#include "tuf_command.h"

int main(int argc, char** argv) {
  ringfence::SystemClock clock;
  return ringfence::tuf::RunTufCommand({argv + 1, argv + argc}, clock, std::cout, std::cerr);
}
