// ringfence-loader: starts a sensor with content that it validated, and falls back by itself. docs/loader.md.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/version.h"
#include "ringfence/content/format.h"
#include "ringfence/loader/demo_sensor.h"
#include "ringfence/loader/supervisor.h"

namespace {

namespace fs = std::filesystem;
using namespace ringfence;

// What the shell learns: docs/loader.md.
constexpr int kRefused = 1, kUsage = 2, kDisk = 3;

std::atomic<bool> g_stop = false;
void OnSignal(int) {
  g_stop = true;
}

int Fail(absl::string_view text, int code) {
  std::cerr << "ringfence-loader: " << text << "\n";
  return code;
}

int FailWith(const absl::Status& status) {
  const bool refused = absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status);
  return Fail(status.message(), refused ? kRefused : kDisk);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  if (size > content::kMaxFileBytes)
    return absl::InvalidArgumentError(absl::StrCat(path, ": larger than 64 MiB"));
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  return bytes.str();
}

int ShowStatus(const loader::Slots& slots) {
  const loader::Record& record = slots.record();
  for (const std::string& note : slots.notes()) std::cout << "note       " << note << "\n";
  std::cout << "active     " << loader::Name(record.active)
            << (record.healthy ? ", proven" : ", on probation") << ", " << int{record.starts} << " of "
            << loader::kMaxStarts << " starts used\n"
            << "last good  " << loader::Name(record.last_good) << "\n";
  for (const loader::Slot slot : {loader::Slot::kA, loader::Slot::kB}) {
    const Digest& digest = record.DigestOf(slot);
    std::cout << "slot " << loader::Name(slot) << "     " << (digest.IsZero() ? "empty" : digest.ToString())
              << "\n";
  }
  for (const Digest& digest : record.quarantine) std::cout << "quarantine " << digest.ToString() << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string folder = "/var/lib/ringfence-loader", file, sha256, program, healthy_after = "10m";
  bool stay = false;
  std::vector<std::string> keys;
  CLI::App app{
      "Starts a sensor with content that it validated, counts the starts, and falls back by itself."};
  app.set_version_flag("--version", VersionOf("ringfence-loader"));
  app.add_option("--dir", folder, "Slots and records")->capture_default_str();
  app.add_option("--key", keys, "Public key (PEM) that content must be signed by; again for each");
  app.require_subcommand(1);
  CLI::App* run = app.add_subcommand("run", "Start the sensor, again after each failure");
  run->add_option("--sensor", program, "PROGRAM, started as PROGRAM FILE [the demonstration sensor]");
  run->add_option("--healthy-after", healthy_after, "It has proven itself when it lives for so long")
      ->capture_default_str();
  CLI::App* stage = app.add_subcommand("stage", "Put content into the slot that does not run");
  stage->add_option("FILE", file, "FCT1")->required();
  CLI::App* flip = app.add_subcommand("flip", "Start the staged content from now on");
  flip->add_option("SHA256", sha256, "As `stage` printed it")->required();
  CLI::App* status = app.add_subcommand("status", "What it remembers");
  CLI::App* sensor =
      app.add_subcommand("sensor", "The demonstration sensor alone, as `run --sensor` starts one");
  sensor->add_option("FILE", file, "FCT1")->required();
  sensor->add_flag("--stay", stay, "Live on when the standard input ends");
  CLI::App* schema = app.add_subcommand("schema", "What the demonstration sensor supplies, to be registered");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (schema->parsed()) {
    std::cout << loader::DemoSchemaYaml();
    return 0;
  }
  if (sensor->parsed()) {
    const absl::StatusOr<std::string> bytes = ReadFile(file);
    if (!bytes.ok()) return Fail(bytes.status().message(), kUsage);
    const absl::Status ran = loader::RunDemoSensor(*bytes, std::cin, std::cout);
    if (!ran.ok()) return FailWith(ran);
    std::cout.flush();
    while (stay) ::pause();
    return 0;
  }
  loader::SlotsOptions options{folder, loader::DemoSchema(), std::nullopt, /*shared=*/true};
  for (const std::string& path : keys) {
    const absl::StatusOr<std::string> pem = ReadFile(path);
    if (!pem.ok()) return Fail(pem.status().message(), kUsage);
    const absl::StatusOr<trust::PublicKey> key = trust::PublicKey::FromPem(*pem);
    if (!key.ok()) return Fail(absl::StrCat(path, ": ", key.status().message()), kUsage);
    if (!options.build_keys.has_value()) options.build_keys.emplace();
    options.build_keys->push_back(*key);
  }
  loader::ProcessOptions process;
  process.program = program;
  process.folder = folder;
  process.stop = &g_stop;
  if (!absl::ParseDuration(healthy_after, &process.healthy_after))
    return Fail(absl::StrCat("--healthy-after ", healthy_after, ": wanted a duration like 10m"), kUsage);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return Fail(absl::StrCat("cannot make ", folder, ": ", error.message()), kDisk);

  const auto files = agent::MakePosixFileSystem();
  loader::Slots slots(files.get(), std::move(options));
  if (status->parsed()) return ShowStatus(slots);
  if (stage->parsed()) {
    const absl::StatusOr<std::string> bytes = ReadFile(file);
    if (!bytes.ok()) return Fail(bytes.status().message(), kUsage);
    const absl::StatusOr<Digest> digest = slots.Stage(*bytes);
    if (!digest.ok()) return FailWith(digest.status());
    std::cout << digest->ToString() << "\n";
    return 0;
  }
  if (flip->parsed()) {
    const absl::StatusOr<Digest> digest = Digest::Parse(sha256);
    if (!digest.ok()) return Fail(digest.status().message(), kUsage);
    const absl::Status flipped = slots.Flip(*digest);
    return flipped.ok() ? 0 : FailWith(flipped);
  }
  // One loader for each folder. Whoever wants to know whether there is one tries this lock.
  const int running = ::open((folder + "/run.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (running >= 0 && ::flock(running, LOCK_EX | LOCK_NB) != 0)
    return Fail(absl::StrCat("a loader runs in ", folder, " already"), kUsage);
  const std::string pid = absl::StrCat(::getpid(), "\n");
  if (running >= 0 && (::ftruncate(running, 0) != 0 || ::write(running, pid.data(), pid.size()) < 0))
    std::cerr << "cannot write " << folder << "/run.lock" << std::endl;
  signal(SIGTERM, OnSignal);
  signal(SIGINT, OnSignal);
  const auto runner = loader::MakeProcessRunner(process);
  return loader::Supervise(&slots, runner.get(),
                           [](const std::string& text) { std::cerr << text << std::endl; });
}
