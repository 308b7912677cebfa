// ringfence-agent: the reference agent. Keeps a link to the bytes in use for each channel.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "host_platform.h"
#include "ringfence/agent/agent.h"
#include "ringfence/agent/boot_clock.h"
#include "ringfence/agent/content_loader.h"
#include "ringfence/agent/loader_process.h"
#include "ringfence/agent/release_verifier.h"
#include "ringfence/agent/slot_loader.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/version.h"
#include "ringfence/content/layout.h"
#include "ringfence/content/source.h"
#include "ringfence/loader/demo_sensor.h"

namespace {

namespace fs = std::filesystem;
using ringfence::agent::Agent;

std::atomic<bool> g_stop = false;
void OnSignal(int) {
  g_stop = true;
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(absl::StripAsciiWhitespace(line));
}

void Log(const std::string& text) {
  std::cerr << absl::FormatTime("%Y-%m-%dT%H:%M:%E3S%Ez ", absl::Now(), absl::LocalTimeZone()) << text
            << std::endl;
}

int Fail(absl::string_view text, int code) {
  std::cerr << "ringfence-agent: " << text << "\n";
  return code;
}

absl::StatusOr<ringfence::agent::ContentRules> Rules(ringfence::agent::FileSystem& files,
                                                     const std::vector<std::string>& channels,
                                                     const std::vector<std::string>& schemas,
                                                     const std::vector<std::string>& build_keys) {
  ringfence::agent::ContentRules rules;
  rules.channels = {channels.begin(), channels.end()};
  for (const std::string& path : schemas) {
    ASSIGN_OR_RETURN(const std::string yaml, files.Read(path));
    const auto parsed = ringfence::content::ParseSchema(yaml);
    if (!parsed.faults.empty())
      return absl::InvalidArgumentError(ringfence::content::Render(path, parsed.faults));
    if (!rules.sensors.has_value()) rules.sensors.emplace();
    rules.sensors->insert(rules.sensors->end(), parsed.value.begin(), parsed.value.end());
  }
  for (const std::string& path : build_keys) {
    ASSIGN_OR_RETURN(const std::string pem, files.Read(path));
    ASSIGN_OR_RETURN(const ringfence::trust::PublicKey key, ringfence::trust::PublicKey::FromPem(pem));
    if (!rules.build_keys.has_value()) rules.build_keys.emplace();
    rules.build_keys->push_back(key);
  }
  return rules;
}

// Absent without a root of trust.
absl::StatusOr<std::unique_ptr<ringfence::agent::ReleaseVerifier>> Verifier(
    ringfence::agent::FileSystem& files, const std::string& root, const std::string& folder,
    const std::string& platform, const std::string& sensor_version,
    const std::vector<ringfence::content::SensorSchema>& schemas, const ringfence::policy::Labels& labels,
    ringfence::Clock* clock) {
  if (root.empty()) return nullptr;
  ringfence::agent::VerifierOptions options;
  options.labels = {labels.pairs().begin(), labels.pairs().end()};
  // Without it the verifier goes on with the root that it stored, if it did: a lost file must not end the
  // agent.
  const absl::StatusOr<std::string> bytes = files.Read(root);
  if (!bytes.ok()) Log(std::string(bytes.status().message()));
  options.root = bytes.value_or("");
  options.folder = folder;
  options.platform = platform.empty() ? ringfence::agent::HostPlatform() : platform;
  options.schemas = schemas;
  std::set<ringfence::content::SensorVersion> versions;
  for (const auto& schema : schemas) versions.insert(schema.sensor);
  if (!sensor_version.empty()) {
    ASSIGN_OR_RETURN(options.sensor, ringfence::content::SensorVersion::Parse(sensor_version));
  } else if (versions.size() == 1) {
    options.sensor = *versions.begin();
  } else {
    return absl::InvalidArgumentError(
        "--trust-root: wanted --sensor-version too, or a --schema of one version: releases are for some "
        "sensors only");
  }
  return ringfence::agent::ReleaseVerifier::Open(std::move(options), clock);
}

// A label that the person who started the agent did not give.
void SayUnlessSaid(ringfence::policy::Labels* labels, const char* key, const std::string& value) {
  if (!labels->WithKey(key).empty()) return;
  std::vector<ringfence::policy::Labels::Pair> pairs = labels->pairs();
  pairs.emplace_back(key, value);
  auto made = ringfence::policy::Labels::Make(std::move(pairs));
  if (made.ok()) *labels = *std::move(made);
}

// Replaced at once, so that whoever reads it never reads half.
void WriteStatus(ringfence::agent::FileSystem& files, const std::string& path, const std::string& text) {
  static std::map<std::string, std::string> written;
  if (text == written[path]) return;
  if (files.Write(path + ".new", text, 0644).ok() && files.Rename(path + ".new", path).ok())
    written[path] = text;
}

// FCT1 content has a serial, other bytes have none.
std::map<ringfence::Digest, uint64_t> SerialsOf(ringfence::agent::FileSystem& files,
                                                const ringfence::agent::ArtifactStore& artifacts,
                                                const std::vector<ringfence::agent::Running>& running) {
  std::map<ringfence::Digest, uint64_t> serials;
  for (const auto& one : running) {
    const absl::StatusOr<std::string> bytes = files.Read(artifacts.PathOf(one.digest));
    if (!bytes.ok()) continue;
    const auto layout =
        ringfence::content::Validate({reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()},
                                     {.build_keys = std::nullopt, .sensors = std::nullopt});
    if (const auto* sound = std::get_if<ringfence::content::Layout>(&layout))
      serials[one.digest] = sound->serial();
  }
  return serials;
}

// Nobody without a document: leases and halts are then not verified.
absl::StatusOr<ringfence::trust::Authority> Believed(ringfence::agent::FileSystem& files,
                                                     const std::string& path) {
  if (path.empty()) return ringfence::trust::Authority();
  ASSIGN_OR_RETURN(const std::string bytes, files.Read(path));
  ASSIGN_OR_RETURN(const auto document, ringfence::trust::ParseTrustDocument(bytes));
  auto authority = ringfence::trust::Authority::From(document);
  RETURN_IF_ERROR(authority.Check());
  return authority;
}

}  // namespace

int main(int argc, char** argv) {
  ringfence::agent::AgentOptions options;
  std::string state_dir = "/var/lib/ringfence-agent", token_file;
  std::string tenant_root, tenant_root_file, group;
  std::vector<std::string> labels, channels, content_channels, schemas, build_keys, plan_files;
  std::string trust_root, platform, sensor_version, sensor_channel;
  ringfence::agent::LoaderProcessOptions loader_process;
  bool once = false, show_status = false;
  std::string authority_file;
  CLI::App app{
      "The reference agent: takes what its server's plan allows, proves it, goes back when told. Without a "
      "server it\n"
      "keeps running what runs."};
  app.set_version_flag("--version", ringfence::VersionOf("ringfence-agent"));
  app.add_option("--server", options.client.server, "host:port of ringfenced")->capture_default_str();
  app.add_option("--state-dir", state_dir, "Identity, memory, artifacts and the links current/CHANNEL")
      ->capture_default_str();
  app.add_option("--enrol-token", options.enrol_token, "One-use token of the tenant; needed once");
  app.add_option("--enrol-token-file", token_file, "File with the token");
  app.add_option("--label", labels, "KEY=VALUE; again for each")->allow_extra_args(false);
  app.add_option("--channel", channels, "CHANNEL=FILE: what runs before the first release; again for each")
      ->allow_extra_args(false);
  app.add_option("--content-channel", content_channels,
                 "CHANNEL that carries FCT1 content only; again for each")
      ->allow_extra_args(false);
  app.add_option("--schema", schemas, "Inputs that the sensor on this host supplies (YAML); again for each")
      ->allow_extra_args(false);
  app.add_option("--build-key", build_keys, "Public key (PEM) that content must be signed by; again for each")
      ->allow_extra_args(false);
  app.add_option("--trust-root", trust_root,
                 "root.json of the installation: every release is verified from it. Without it the server is "
                 "believed");
  app.add_option("--platform", platform,
                 "What this host is called in release metadata [linux/x86_64/debian-12]");
  app.add_option("--sensor-version", sensor_version, "Version of the sensor on this host [that of --schema]");
  app.add_option(
      "--sensor", loader_process.sensor,
      "PROGRAM that reads content: ringfence-loader starts it as PROGRAM FILE, counts its starts, and "
      "goes back by itself");
  app.add_option("--sensor-channel", sensor_channel, "Its CHANNEL [the only --content-channel]");
  app.add_option("--loader", loader_process.program, "Path of ringfence-loader [beside this program]");
  app.add_option("--loader-dir", loader_process.folder, "Its slots and records [STATE-DIR/loader]");
  app.add_option("--healthy-after", loader_process.healthy_after,
                 "The sensor has proven its content when it lives for so long [10m]");
  app.add_flag("--status", show_status, "Print what the running agent says of itself (JSON), and end");
  app.add_option("--authority", authority_file,
                 "trust.json: who signs leases and halts, and who takes a halt off");
  app.add_option("--group", group, "The host's local group: the same as --label group=GROUP");
  app.add_option(
      "--tenant-root", tenant_root,
      "sha256 of the customer's first signed plan: then nothing is taken that the customer's newest "
      "plan does not allow, whatever the server says");
  app.add_option("--tenant-root-file", tenant_root_file, "File with it");
  app.add_option(
         "--plan-file", plan_files,
         "Signed plan or decision put here by the customer; again for each. Read besides the server's")
      ->allow_extra_args(false);
  app.add_flag("--once", once,
               "One check-in and what follows from it, then end; exit 3 if the server does not answer");
  CLI11_PARSE(app, argc, argv);

  const std::string status_file = state_dir + "/status.json";
  const auto files = ringfence::agent::MakePosixFileSystem();
  if (show_status) {
    const absl::StatusOr<std::string> status = files->Read(status_file);
    if (!status.ok()) return Fail(status.status().message(), 1);
    std::cout << *status;
    return 0;
  }
  if (!token_file.empty()) options.enrol_token = FirstLine(token_file);
  if (!tenant_root_file.empty()) tenant_root = FirstLine(tenant_root_file);
  if (!tenant_root_file.empty() && tenant_root.empty())
    return Fail(absl::StrCat("--tenant-root-file ", tenant_root_file, ": cannot be read"), 2);
  ringfence::Digest pinned;
  if (!tenant_root.empty()) {
    const auto digest = ringfence::Digest::Parse(tenant_root);
    if (!digest.ok() || digest->IsZero())
      return Fail(absl::StrCat("--tenant-root ", tenant_root, ": wanted 64 lower-case hex digits"), 2);
    pinned = *digest;
  }
  std::vector<ringfence::policy::Labels::Pair> pairs;
  if (!group.empty()) pairs.emplace_back("group", group);
  for (const std::string& label : labels) {
    pairs.push_back(absl::StrSplit(label, absl::MaxSplits('=', 1)));
    if (label.find('=') == std::string::npos)
      return Fail(absl::StrCat("--label ", label, ": wanted KEY=VALUE"), 2);
  }
  auto made = ringfence::policy::Labels::Make(std::move(pairs));
  if (!made.ok()) return Fail(made.status().message(), 2);
  options.labels = *std::move(made);
  options.boot_id = FirstLine("/proc/sys/kernel/random/boot_id");
  if (options.boot_id.empty()) options.boot_id = "unknown";
  options.seed = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  options.log = Log;

  std::error_code error;
  for (const char* sub : {"", "/artifacts", "/current"}) fs::create_directories(state_dir + sub, error);
  if (error) return Fail(absl::StrCat("cannot make ", state_dir, ": ", error.message()), 1);
  ::chmod(state_dir.c_str(), 0700);  // it holds the agent's secret

  ringfence::agent::ArtifactStore artifacts(state_dir + "/artifacts");
  ringfence::agent::LinkLoader links(state_dir + "/current");
  auto rules = Rules(*files, content_channels, schemas, build_keys);
  if (!rules.ok()) return Fail(rules.status().message(), 2);
  rules->serials_file = state_dir + "/serials";
  ringfence::SystemClock wall_clock;
  const auto schemas_here = rules->sensors.value_or(std::vector<ringfence::content::SensorSchema>());
  auto verifier = Verifier(*files, trust_root, state_dir + "/trust", platform, sensor_version, schemas_here,
                           options.labels, &wall_clock);
  if (!verifier.ok()) return Fail(verifier.status().message(), 2);
  if (!trust_root.empty()) {
    // By these the server finds what metadata lists for this host.
    SayUnlessSaid(&options.labels, "platform",
                  platform.empty() ? ringfence::agent::HostPlatform() : platform);
    SayUnlessSaid(&options.labels, "sensor",
                  sensor_version.empty() ? schemas_here.front().sensor.ToString() : sensor_version);
  }
  ringfence::agent::BootClock clock;
  if (!loader_process.sensor.empty()) {
    if (sensor_channel.empty() && content_channels.size() == 1) sensor_channel = content_channels.front();
    if (!ringfence::IsSlug(sensor_channel))
      return Fail("--sensor: wanted --sensor-channel CHANNEL too, or one --content-channel", 2);
    if (loader_process.program.empty())
      loader_process.program = fs::read_symlink("/proc/self/exe", error).parent_path() / "ringfence-loader";
    if (loader_process.folder.empty()) loader_process.folder = state_dir + "/loader";
    loader_process.build_keys = build_keys;
    fs::create_directories(loader_process.folder, error);
    rules->channels.insert(sensor_channel);
  }
  ringfence::agent::SlotLoader slots(
      &links, files.get(), &clock,
      {sensor_channel, loader_process.folder,
       schemas_here.size() == 1 ? schemas_here.front() : ringfence::loader::DemoSchema(), rules->build_keys,
       [&loader_process] { return ringfence::agent::EnsureLoader(loader_process); }});
  ringfence::agent::Loader* flips = &links;
  if (!loader_process.sensor.empty()) {
    flips = &slots;
    const absl::Status ensured = ringfence::agent::EnsureLoader(loader_process);
    if (!ensured.ok()) return Fail(ensured.message(), 1);
  }
  ringfence::agent::ContentLoader loader(flips, files.get(), *std::move(rules));
  for (const std::string& channel : channels) {
    const std::pair<std::string, std::string> named = absl::StrSplit(channel, absl::MaxSplits('=', 1));
    if (!ringfence::IsSlug(named.first) || named.second.empty()) {
      return Fail(absl::StrCat("--channel ", channel, ": wanted CHANNEL=FILE"), 2);
    }
    const auto runs = loader.Attest();
    const bool any =
        std::any_of(runs.begin(), runs.end(), [&](const auto& one) { return one.channel == named.first; });
    // The loader starts what is built in while nothing was brought yet.
    const bool last_resort = any && named.first == sensor_channel && slots.HasOnlyBuiltIn();
    if (any && !last_resort) continue;  // a release may run there by now
    const absl::StatusOr<ringfence::Digest> digest = artifacts.Import(named.second);
    if (!digest.ok()) return Fail(digest.status().message(), 2);
    const absl::Status flipped = loader.Flip(named.first, artifacts.PathOf(*digest));
    if (flipped.ok()) continue;
    // It failed on this host before, perhaps.
    if (!last_resort) return Fail(flipped.message(), 1);
    Log(absl::StrCat(named.first, " stays with what is built in: ", flipped.message()));
  }

  auto authority = Believed(*files, authority_file);
  if (!authority.ok()) return Fail(authority.status().message(), 2);
  ringfence::agent::ActivationGuard guard(files.get(), state_dir, &wall_clock, *std::move(authority));
  Log(guard.Describe());
  options.guard = &guard;
  if (*verifier == nullptr) {
    Log("releases are not verified on this host: no --trust-root was given");
  } else {
    options.verifier = verifier->get();
    options.factory_serials = SerialsOf(*files, artifacts, loader.Attest());
    for (const std::string& trouble : (*verifier)->report().trouble) Log(trouble);
  }
  std::unique_ptr<ringfence::agent::PlanGuard> plan_guard;
  if (!pinned.IsZero()) {
    plan_guard = ringfence::agent::PlanGuard::Open({pinned, state_dir, plan_files}, files.get(), &wall_clock);
    options.plan_guard = plan_guard.get();
    Log(plan_guard->Describe());
  } else {
    Log("no plan is pinned on this host: no cryptographic veto");
  }
  ringfence::agent::StateStore store(files.get(), state_dir);
  absl::StatusOr<std::unique_ptr<Agent>> agent =
      Agent::Make(std::move(options), &store, &artifacts, &loader, &clock);
  if (!agent.ok()) return Fail(agent.status().message(), 1);

  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  Log(absl::StrCat("agent ", (*agent)->machine().agent().ToString(), " starts"));
  const auto waits = [&] {
    if (g_stop) return false;
    if (!once) return true;
    if ((*agent)->failed_calls() > 0) return false;
    return (*agent)->checkins() == 0 || (*agent)->fetching();
  };
  const auto write_status = [&] {
    WriteStatus(*files, status_file, (*agent)->StatusJson());
    WriteStatus(*files, state_dir + "/metrics.prom", (*agent)->MetricsText());
  };
  absl::Time look_at = clock.Now();
  while (waits()) {
    (*agent)->RunOnce(absl::Milliseconds(200));
    if (!loader_process.sensor.empty() && clock.Now() >= look_at) {
      look_at = clock.Now() + absl::Seconds(1);
      LookAfter(slots, **agent);
      const absl::Status ensured = ringfence::agent::EnsureLoader(loader_process);
      if (!ensured.ok()) Log(std::string(ensured.message()));
    }
    write_status();
  }
  const bool heard = (*agent)->failed_calls() == 0;
  (*agent)->Stop(absl::Seconds(3));
  write_status();
  Log("agent stops; what runs keeps running");
  return once && !heard ? 3 : 0;
}
