#include <iostream>

#include "keys_command.h"

int main(int argc, char** argv) {
  ringfence::SystemClock clock;
  return ringfence::tuf::RunKeysCommand({argv + 1, argv + argc}, clock, ringfence::tuf::AskOnTerminal,
                                        std::cout, std::cerr);
}
