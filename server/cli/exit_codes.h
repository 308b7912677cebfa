// What the shell learns. Documented in docs/cli.md and in `ringfence --help`; never renumbered.
#pragma once

namespace ringfence::cli {

inline constexpr int kOk = 0;
inline constexpr int kRefused = 1;      // the server refused or failed; the text says why
inline constexpr int kUsage = 2;        // wrong arguments, or a file with faults
inline constexpr int kUnreachable = 3;  // no answer: not running, wrong address, time ran out
inline constexpr int kDenied = 4;       // no valid token, or the person's role does not allow it
inline constexpr int kConflict = 5;  // somebody else changed it meanwhile, or it exists already: look again
inline constexpr int kNotFound = 6;  // no such tenant, release, rollout or host
inline constexpr int kPrecondition =
    7;  // not in this state: stale serial, known-bad bytes, nothing to resume, ...
inline constexpr int kOutcome = 8;    // `rollout watch --until X` ended in another end than X
inline constexpr int kDifferent = 9;  // `plan diff --exit-code`: the file is not the plan in force. `decision
                                      // replay`: it comes out otherwise
inline constexpr int kInterrupted = 130;

inline constexpr char kExitCodeHelp[] =
    "Exit codes:\n"
    "  0  done                          5  conflict: it changed meanwhile, or exists already\n"
    "  1  refused or failed             6  no such tenant, release, rollout or host\n"
    "  2  wrong usage, or a file with faults\n"
    "  3  server unreachable            7  not possible in this state\n"
    "  4  denied: token or role         8  watch --until: ended otherwise\n"
    "                                   9  plan diff --exit-code, decision replay: there is\n"
    "                                      a difference\n";

}  // namespace ringfence::cli
