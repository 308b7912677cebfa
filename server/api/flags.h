// The command line of ringfenced.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/api/log.h"

namespace ringfence::api {

struct Flags {
  std::string data_dir;      // of the private PostgreSQL; empty: the system's default place
  std::string database_url;  // empty: the private PostgreSQL
  std::string listen = "127.0.0.1:7443";
  std::string http_listen = "127.0.0.1:7480";
  std::string advertise;                            // where other replicas reach --listen; empty: there
  std::string operators;                            // file; empty: no operator may call
  std::string trust_root;                           // file; empty: releases are unsigned and unproven
  std::string sensors;                              // file; empty: none is registered
  std::string timestamp_key, timestamp_passphrase;  // files; empty: people sign it again
  std::string director_key;                         // file; empty: leases go out unsigned
  std::string halt_key;                             // file; empty: hosts are told of halts unsigned
  std::string authority;                            // file: trust.json; empty: no order to go on is looked at
  std::optional<std::string> internal_tenant;       // empty: none; absent: as at the first start
  absl::Duration checkin_interval = absl::Seconds(60);
  double time_scale = 1;
  bool demo = false;
  LogLevel log_level = LogLevel::kInfo;
  std::string pid_file, port_file;  // empty: none
  std::string replica_name;         // the host's name when not given
  bool unsafe_fast_database = false;
};

// What to do next: run with flags, or end with this exit code (help was printed, or what is wrong).
struct FlagsOrExit {
  std::optional<Flags> flags;
  int exit_code = 0;
};
FlagsOrExit ParseFlags(int argc, char** argv, const std::string& version);

// Everything that contradicts itself: a scale without --demo, a demonstration that listens beyond this
// machine, ... InvalidArgument with every fault.
absl::Status CheckFlags(const Flags& flags);

// Where other replicas reach this one, which listens on `port`: --advertise, or the host of --listen, or,
// when it listens on every address, this machine's name.
std::string AdvertisedAddress(const Flags& flags, int port);

}  // namespace ringfence::api
