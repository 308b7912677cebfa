// The only file of the server that knows CLI11.
#include "server/api/flags.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "ringfence/base/ids.h"
#include "server/api/faults.h"
#include "server/api/http_server.h"
#include "server/api/text.h"

namespace ringfence::api {
namespace {

constexpr double kMaxScale = 10'000;
constexpr char kNone[] = "none";

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0' ? name : "ringfenced";
}

void CheckAddress(const std::string& text, const char* flag, bool demo, Faults& faults) {
  const absl::StatusOr<HostPort> address = ParseHostPort(text);
  if (!address.ok()) {
    faults.Add(flag, Shown(text), "host:port");
  } else if (demo && !IsLoopback(address->host)) {
    faults.Add(flag, Shown(text), "a loopback address: a demonstration is for this machine only");
  }
}

}  // namespace

absl::Status CheckFlags(const Flags& flags) {
  Faults faults;
  CheckAddress(flags.listen, "--listen", flags.demo, faults);
  CheckAddress(flags.http_listen, "--http-listen", flags.demo, faults);
  if (!flags.advertise.empty()) CheckAddress(flags.advertise, "--advertise", flags.demo, faults);
  if (!flags.data_dir.empty() && !flags.database_url.empty()) {
    faults.Add("--data-dir", flags.data_dir, "either --data-dir or --database-url");
  }
  if (!std::isfinite(flags.time_scale) || flags.time_scale < 1 || flags.time_scale > kMaxScale) {
    faults.Add("--time-scale", absl::StrCat(flags.time_scale), absl::StrCat("1 to ", kMaxScale));
  } else if (flags.time_scale != 1 && !flags.demo) {
    faults.Add("--time-scale", absl::StrCat(flags.time_scale),
               "1 without --demo: real hosts must not be judged on a clock that races");
  }
  if (flags.internal_tenant && !flags.internal_tenant->empty() && !IsSlug(*flags.internal_tenant)) {
    faults.Add("--internal-tenant", Shown(*flags.internal_tenant), "1 to 63 of a-z, 0-9 and -, or none");
  }
  if (flags.checkin_interval < absl::Seconds(1) || flags.checkin_interval > absl::Hours(1)) {
    faults.Add("--checkin-interval", absl::FormatDuration(flags.checkin_interval), "1s to 1h");
  }
  if (flags.replica_name.empty() || flags.replica_name.size() > 128 || !IsText(flags.replica_name)) {
    faults.Add("--replica-name", Shown(flags.replica_name), "1 to 128 bytes of text");
  }
  if (!flags.halt_key.empty() && flags.authority.empty() && flags.trust_root.empty()) {
    faults.Add(
        "--halt-key", flags.halt_key,
        "--trust-root or --authority too: hosts keep a signed halt until two persons whom they know lift it");
  }
  if (flags.unsafe_fast_database && !flags.demo) {
    faults.Add("--unsafe-fast-database", "without --demo", "--demo: a power cut may lose what was committed");
  }
  return faults.ToStatus();
}

std::string AdvertisedAddress(const Flags& flags, int port) {
  if (!flags.advertise.empty()) return flags.advertise;
  const absl::StatusOr<HostPort> listen = ParseHostPort(flags.listen);
  std::string host = listen.ok() ? listen->host : "";
  if (host.empty() || host == "0.0.0.0" || host == "::") host = HostName();
  const bool bare_ipv6 = host.find(':') != std::string::npos;
  return absl::StrCat(bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "", ":", port);
}

FlagsOrExit ParseFlags(int argc, char** argv, const std::string& version) {
  Flags flags;
  flags.replica_name = HostName();
  std::string internal_tenant, checkin_interval = "60s", log_level = "info";
  CLI::App cli(
      "ringfenced: moves releases through a fleet ring by ring, and stops by itself. docs/operations.md");
  cli.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  cli.set_version_flag("--version", version);
  cli.add_option("--data-dir", flags.data_dir, "folder of the private PostgreSQL, made when missing");
  cli.add_option("--database-url", flags.database_url, "use this PostgreSQL instead (postgresql://...)")
      ->envname("RINGFENCE_DATABASE_URL");
  cli.add_option("--listen", flags.listen, "address of gRPC; port 0 takes a free one")->capture_default_str();
  cli.add_option("--advertise", flags.advertise,
                 "where other replicas reach --listen; that address, or this host's name, when not given");
  cli.add_option("--http-listen", flags.http_listen, "address of /metrics and /healthz")
      ->capture_default_str();
  cli.add_option("--operators", flags.operators, "file of the people who may call; docs/identity.md");
  auto* root = cli.add_option("--trust-root", flags.trust_root,
                              "root.json of the release repository to follow; docs/publishing.md");
  cli.add_option("--sensors", flags.sensors, "file of the sensors whose inputs content is held against")
      ->needs(root);
  auto* key = cli.add_option("--timestamp-key", flags.timestamp_key,
                             "private key of the role timestamp: the server signs it again by itself")
                  ->needs(root);
  cli.add_option("--timestamp-passphrase-file", flags.timestamp_passphrase,
                 "its first line opens a sealed --timestamp-key")
      ->needs(key);
  cli.add_option("--director-key", flags.director_key,
                 "private key (PEM, Ed25519) that signs leases; docs/operations.md");
  cli.add_option("--halt-key", flags.halt_key,
                 "private key (PEM, Ed25519) that signs halts for hosts; needs --trust-root or --authority");
  cli.add_option("--authority", flags.authority,
                 "trust.json: whose signatures take a halt off, and which keys hosts expect here, until one "
                 "comes with a publication");
  auto* internal =
      cli.add_option("--internal-tenant", internal_tenant,
                     "the vendor's own fleet, first for every release, or none; needed at the first start");
  cli.add_option("--checkin-interval", checkin_interval, "time between two check-ins of a host")
      ->capture_default_str();
  cli.add_option("--time-scale", flags.time_scale, "run time this many times faster; needs --demo")
      ->capture_default_str();
  cli.add_flag("--demo", flags.demo, "a demonstration: marked everywhere, listens on this machine only");
  cli.add_option("--log-level", log_level, "debug, info, warning or error")->capture_default_str();
  cli.add_option("--pid-file", flags.pid_file, "write the process id here");
  cli.add_option("--port-file", flags.port_file, "write the ports here, as JSON, once they answer");
  cli.add_option("--replica-name", flags.replica_name, "name of this server among its replicas")
      ->capture_default_str();
  cli.add_flag("--unsafe-fast-database", flags.unsafe_fast_database,
               "private PostgreSQL without flushes to disk; needs --demo");
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = cli.exit(error);
    return {std::nullopt, code == 0 ? 0 : 2};
  }
  Faults faults;
  if (internal->count() > 0) flags.internal_tenant = internal_tenant == kNone ? "" : internal_tenant;
  if (internal->count() > 0 && internal_tenant.empty()) {
    faults.Add("--internal-tenant", "nothing", "a tenant, or none");
  }
  if (!absl::ParseDuration(checkin_interval, &flags.checkin_interval)) {
    faults.Add("--checkin-interval", Shown(checkin_interval), "a duration like 60s");
  }
  const absl::StatusOr<LogLevel> level = ParseLogLevel(log_level);
  if (level.ok()) {
    flags.log_level = *level;
  } else {
    faults.Add("--log-level", Shown(log_level), "debug, info, warning or error");
  }
  absl::Status status = faults.ToStatus();
  if (status.ok()) status = CheckFlags(flags);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return {std::nullopt, 2};
  }
  return {std::move(flags), 0};
}

}  // namespace ringfence::api
