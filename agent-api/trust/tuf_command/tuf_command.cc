#include "tuf_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/version.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/folder_store.h"
#include "ringfence/tuf/http_fetcher.h"

namespace ringfence::tuf {
namespace {

// A target's name as that of one file. What would be too long for a file system goes by its hash.
std::string FileNameOf(const std::string& target) {
  const std::string quoted = Quote(target);
  return quoted.size() <= 200 ? quoted : Sha256(target).ToString();
}

struct Options {
  std::string metadata_dir, metadata_url, target_dir, target_base_url, trusted_root;
  std::vector<std::string> target_names;
};

class Command {
 public:
  Command(const Options& options, Clock& clock, std::ostream& out)
      : options_(options), clock_(clock), out_(out) {}

  absl::Status Init() {
    ASSIGN_OR_RETURN(const std::string root, ReadFile(options_.trusted_root, kMaxRootBytes));
    FolderStore store(options_.metadata_dir);
    // Beginning anew would forget how far the repository had come.
    if (store.Load(kRoot).ok())
      return Failure(Fault::kStorage, kRoot, "is trusted already: remove the folder's files to begin anew");
    RETURN_IF_ERROR(store.Save(kRoot, root));
    out_ << "trusting " << options_.trusted_root << ", sha256 " << Sha256(root).ToString() << "\n";
    return absl::OkStatus();
  }

  absl::Status Refresh() {
    ASSIGN_OR_RETURN(const auto fetcher, HttpFetcher::Make(options_.metadata_url, ""));
    FolderStore store(options_.metadata_dir);
    Updater updater(*fetcher, store, clock_.Now());
    const absl::Status refreshed = updater.Refresh();
    ShowTrusted(updater);
    return refreshed;
  }

  absl::Status Download() {
    ASSIGN_OR_RETURN(const auto fetcher, HttpFetcher::Make(options_.metadata_url, options_.target_base_url));
    FolderStore store(options_.metadata_dir);
    Updater updater(*fetcher, store, clock_.Now());
    const absl::Status refreshed = updater.Refresh();
    ShowTrusted(updater);
    RETURN_IF_ERROR(refreshed);
    for (const std::string& name : options_.target_names) RETURN_IF_ERROR(DownloadOne(name, &updater));
    return absl::OkStatus();
  }

 private:
  absl::Status DownloadOne(const std::string& name, Updater* updater) {
    ASSIGN_OR_RETURN(const TargetFile target, updater->Find(name));
    const std::string path = absl::StrCat(options_.target_dir, "/", FileNameOf(name));
    const auto there = ReadFile(path, static_cast<size_t>(*target.info.length));
    if (there.ok() && CheckBytes(target.info, *there, name).ok()) {
      out_ << path << ": there already\n";
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::string bytes, updater->Download(target));
    RETURN_IF_ERROR(WriteFileDurably(path, bytes, 0644));
    out_ << path << ": " << bytes.size() << " bytes\n";
    return absl::OkStatus();
  }

  void ShowRole(const char* role, const Common* common) {
    if (common == nullptr) return;
    out_ << role << ": version " << common->version << ", until " << TimeText(common->expires) << "\n";
  }

  void ShowTrusted(const Updater& updater) {
    const TrustedSet* trusted = updater.trusted();
    if (trusted == nullptr) return;
    ShowRole(kRoot, &trusted->root());
    ShowRole(kTimestamp, trusted->timestamp());
    ShowRole(kSnapshot, trusted->snapshot());
    ShowRole(kTargets, trusted->targets(kTargets, kRoot));
    if (trusted->root().others.count("x-ringfence-throwaway") != 0)
      out_ << "THROWAWAY KEYS: this root is for demonstrations and tests, and protects nothing\n";
  }

  const Options& options_;
  Clock& clock_;
  std::ostream& out_;
};

}  // namespace

int RunTufCommand(const std::vector<std::string>& args, Clock& clock, std::ostream& out, std::ostream& err) {
  Options options;
  CLI::App app("Keeps a local copy of a repository's signed metadata, and downloads only what it lists.",
               "ringfence-tuf");
  app.set_version_flag("--version", VersionOf("ringfence-tuf"));
  app.footer("Exit codes: 0 done, 1 anything failed, 2 wrong usage. docs/trust.md explains the faults.");
  app.add_option("--metadata-dir", options.metadata_dir, "Folder of the trusted metadata")->required();
  app.add_option("--metadata-url", options.metadata_url, "The repository's folder of metadata");
  app.add_option("--target-name", options.target_names, "Path of a target; may be repeated, in order")
      ->allow_extra_args(false);
  app.add_option("--target-dir", options.target_dir, "Folder that targets are stored in");
  app.add_option("--target-base-url", options.target_base_url, "The repository's folder of targets");
  app.require_subcommand(1);
  app.fallthrough();
  CLI::App* init = app.add_subcommand("init", "Begins to trust a root. Asks nobody");
  init->add_option("TRUSTED_ROOT", options.trusted_root, "The root to trust, from a safe place")->required();
  CLI::App* refresh = app.add_subcommand("refresh", "Brings the four top-level roles up to date");
  CLI::App* download =
      app.add_subcommand("download", "Refreshes, then finds, fetches and stores the targets");

  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kTufDone : kTufUsage;
  }
  const bool remote = refresh->parsed() || download->parsed();
  if (remote && options.metadata_url.empty()) {
    err << "ringfence-tuf: --metadata-url is required\n";
    return kTufUsage;
  }
  if (download->parsed() &&
      (options.target_names.empty() || options.target_dir.empty() || options.target_base_url.empty())) {
    err << "ringfence-tuf: download wants --target-name, --target-dir and --target-base-url\n";
    return kTufUsage;
  }
  Command command(options, clock, out);
  const absl::Status done = init->parsed()      ? command.Init()
                            : refresh->parsed() ? command.Refresh()
                                                : command.Download();
  if (done.ok()) return kTufDone;
  err << "ringfence-tuf: " << done.message() << "\n";
  return kTufFailed;
}

}  // namespace ringfence::tuf
