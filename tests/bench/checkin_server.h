// The servers that the check-in figures compare, each a process of its own, so that its CPU time can be read
// apart from the client's.
#pragma once

#include <string>

namespace ringfence::bench {

// Serves until standard input ends: "product" (the server as ringfenced runs it, on the memory store),
// "follower:PORT" (a replica that hands its calls on to the product at that port) or "echo" (a bare callback
// service of the same messages). Writes its port to standard output. Returns the exit
// code.
int ServeCheckIns(const std::string& which);

}  // namespace ringfence::bench
