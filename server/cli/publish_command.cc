// ringfence release publish: a release out of the repository that the server follows, or a file on its
// publisher's word.
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/plan_yaml.h"
#include "server/cli/proto_value.h"
#include "server/cli/repository_upload.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMaxArtifactBytes = 64 << 20;
constexpr size_t kChunkBytes = 1 << 20;

bool IsFolder(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

absl::StatusOr<v1::ReleaseManifest> ManifestOf(const PublishOptions& options, v1::ReleaseManifest manifest) {
  if (!options.channel.empty()) manifest.set_channel(options.channel);
  if (!options.version.empty()) manifest.set_version(options.version);
  if (options.serial != 0) manifest.set_serial(options.serial);
  if (options.kind == "sensor") manifest.set_kind(v1::CHANNEL_KIND_SENSOR);
  if (options.kind == "content") manifest.set_kind(v1::CHANNEL_KIND_CONTENT);
  if (manifest.kind() == v1::CHANNEL_KIND_UNSPECIFIED) {
    manifest.set_kind(manifest.channel() == "sensor" ? v1::CHANNEL_KIND_SENSOR : v1::CHANNEL_KIND_CONTENT);
  }
  if (options.urgent) manifest.set_urgent(true);
  if (!options.targets.empty()) manifest.clear_targets();
  for (const std::string& target : options.targets)
    RETURN_IF_ERROR(AddPairs(target, manifest.mutable_targets()));
  if (!options.matrix.empty()) manifest.clear_matrix();
  for (const std::string& platform : options.matrix)
    RETURN_IF_ERROR(AddPairs(platform, manifest.add_matrix()));
  if (manifest.channel().empty() || manifest.version().empty() || manifest.serial() == 0) {
    return absl::InvalidArgumentError(
        "a release needs --channel, --serial and --version, or a --manifest with them");
  }
  if (manifest.matrix_size() == 0) {
    return absl::InvalidArgumentError(
        "a release needs the platforms it was tested on: --matrix os=win10,arch=x64, once for each, or a "
        "--manifest");
  }
  return manifest;
}

// The manifest that flags and file name; kOk, or the exit code after the faults were shown.
struct LoadedManifest {
  Parsed<v1::ReleaseManifest> parsed;
  int exit_code = 0;
};

LoadedManifest LoadManifest(Context& context, const PublishOptions& options) {
  LoadedManifest loaded;
  if (!options.manifest.empty()) {
    const absl::StatusOr<std::string> text = ReadFile(context.world(), options.manifest, kChunkBytes);
    if (!text.ok()) {
      loaded.exit_code = context.Usage(text.status().message());
      return loaded;
    }
    loaded.parsed = ParseManifestYaml(*text);
    if (!loaded.parsed.faults.empty()) {
      context.err() << Render(options.manifest, loaded.parsed.faults);
      loaded.exit_code = kUsage;
      return loaded;
    }
  }
  absl::StatusOr<v1::ReleaseManifest> manifest = ManifestOf(options, loaded.parsed.message);
  if (manifest.ok()) {
    loaded.parsed.message = *std::move(manifest);
  } else {
    loaded.exit_code = context.Usage(manifest.status().message());
  }
  return loaded;
}

// The parts of one upload after the header: file after file, a chunk at a time.
class Parts {
 public:
  explicit Parts(std::vector<UploadFile> files) : files_(std::move(files)) {}

  bool Next(v1::PublishReleaseRequest* request) {
    while (at_ < files_.size()) {
      const UploadFile& file = files_[at_];
      if (!announced_ && !file.name.empty()) {
        announced_ = true;
        request->mutable_file()->set_kind(file.kind);
        request->mutable_file()->set_name(file.name);
        return true;
      }
      if (sent_ < file.bytes.size()) {
        request->set_data(file.bytes.substr(sent_, kChunkBytes));
        sent_ += request->data().size();
        return true;
      }
      ++at_;
      sent_ = 0;
      announced_ = false;
    }
    return false;
  }

 private:
  const std::vector<UploadFile> files_;
  size_t at_ = 0, sent_ = 0;
  bool announced_ = false;
};

absl::Status Upload(Context& context, const v1::PublishReleaseHeader& header, std::vector<UploadFile> files,
                    v1::PublishReleaseResponse* response) {
  v1::PublishReleaseRequest request;
  Parts parts(std::move(files));
  bool first = true;
  return context.remote().Upload(
      "ReleaseService/PublishRelease", &request,
      [&] {
        if (!first) return parts.Next(&request);
        first = false;
        *request.mutable_header() = header;
        return true;
      },
      response);
}

void Show(Context& context, const v1::PublishReleaseResponse& response) {
  for (const std::string& warning : response.warnings())
    context.err() << "warning: " << Printable(warning) << "\n";
  if (!context.table()) return context.Print(response);
  for (const v1::Release& release : response.recalled()) {
    context.out() << "recalled " << release.manifest().channel() << "/" << release.manifest().serial() << " "
                  << release.manifest().version() << "; exposed hosts are ordered back\n";
  }
  if (!response.has_release()) return;
  const v1::Release& release = response.release();
  const v1::ReleaseManifest& manifest = release.manifest();
  context.out() << "published " << manifest.channel() << "/" << manifest.serial() << " " << manifest.version()
                << " (";
  if (release.artifacts_size() > 1) context.out() << release.artifacts_size() << " artifacts, at most ";
  context.out() << HumanBytes(release.size_bytes()) << ", sha256 " << ShortDigest(manifest.digest()) << ", "
                << EnumWord(*v1::SignatureState_descriptor(), release.signature()) << ", "
                << EnumWord(*v1::QualificationState_descriptor(), release.qualification()) << ")\n"
                << "  next: ringfence rollout watch " << manifest.channel() << "/" << manifest.serial()
                << "\n";
}

std::string NameOf(const ListedRelease& release) {
  return absl::StrCat(release.channel, "/", release.serial);
}

// The one that is meant: by its name, or the only one that the server does not have yet. Null: none is new.
absl::StatusOr<const ListedRelease*> Choose(Context& context, const PublishOptions& options,
                                            const std::vector<ListedRelease>& listed) {
  if (!options.release.empty()) {
    for (const ListedRelease& one : listed) {
      if (options.release == NameOf(one) || options.release == absl::StrCat(one.channel, "/", one.version))
        return &one;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("--release ", options.release, ": the repository lists no such release"));
  }
  std::map<std::string, uint64_t> newest;
  std::string page;
  do {
    v1::ListReleasesRequest request;
    v1::ListReleasesResponse response;
    request.set_page_size(1000);
    request.set_page_token(page);
    RETURN_IF_ERROR(context.remote().Call("ReleaseService/ListReleases", request, &response));
    for (const v1::Release& release : response.releases()) {
      uint64_t& serial = newest[release.manifest().channel()];
      serial = std::max<uint64_t>(serial, release.manifest().serial());
    }
    page = response.next_page_token();
  } while (!page.empty());
  const ListedRelease* found = nullptr;
  std::string names;
  for (const ListedRelease& one : listed) {
    if (one.revoked || one.serial <= newest[one.channel]) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", NameOf(one));
    if (found != nullptr && names.size() > 200) break;
    found = found == nullptr ? &one : found;
  }
  if (found == nullptr || names == NameOf(*found)) return found;
  return absl::InvalidArgumentError(
      absl::StrCat("several releases are new: wanted --release with one of ", names));
}

int PublishRepository(Context& context, const PublishOptions& options) {
  const bool others = !options.manifest.empty() || !options.channel.empty() || !options.kind.empty() ||
                      !options.version.empty() || options.serial != 0 || !options.matrix.empty() ||
                      options.urgent;
  if (others) {
    return context.Usage(
        "of a release out of a repository the signed listing says everything but --target and --skip-rings");
  }
  const absl::StatusOr<RepositoryUpload> repository = RepositoryUpload::Open(options.file);
  if (!repository.ok()) return context.Usage(repository.status().message());
  const absl::StatusOr<const ListedRelease*> release = Choose(context, options, repository->releases());
  if (absl::IsInvalidArgument(release.status())) return context.Usage(release.status().message());
  if (!release.ok()) return context.Fail(release.status());
  absl::StatusOr<std::vector<UploadFile>> files = repository->Files(*release);
  if (!files.ok()) return context.Usage(files.status().message());

  v1::PublishReleaseHeader header;
  header.set_request_id(context.request_id());
  header.set_repository(true);
  header.set_skip_rings(options.skip_rings);
  for (const std::string& target : options.targets) {
    const absl::Status added = AddPairs(target, header.mutable_manifest()->mutable_targets());
    if (!added.ok()) return context.Usage(added.message());
  }
  v1::PublishReleaseResponse response;
  const absl::Status status = Upload(context, header, *std::move(files), &response);
  if (!status.ok()) return context.Fail(status);
  Show(context, response);
  if (context.table() && !response.has_release()) {
    context.out() << "published the repository's metadata (" << repository->Versions()
                  << "); no release in it is new\n";
  }
  return kOk;
}

}  // namespace

int ReleasePublish(Context& context, const PublishOptions& options) {
  if (IsFolder(options.file)) return PublishRepository(context, options);
  if (!options.release.empty())
    return context.Usage("--release: wanted a repository's folder with it, not a file");
  LoadedManifest loaded = LoadManifest(context, options);
  if (loaded.exit_code != kOk) return loaded.exit_code;
  absl::StatusOr<std::string> bytes = ReadFile(context.world(), options.file, kMaxArtifactBytes);
  if (!bytes.ok()) return context.Usage(bytes.status().message());
  v1::PublishReleaseHeader header;
  header.set_request_id(context.request_id());
  header.set_skip_rings(options.skip_rings);
  *header.mutable_manifest() = loaded.parsed.message;
  header.mutable_manifest()->set_digest(std::string(Sha256(*bytes).raw()));
  v1::PublishReleaseResponse response;
  std::vector<UploadFile> files(1);
  files[0].bytes = *std::move(bytes);
  const absl::Status status = Upload(context, header, std::move(files), &response);
  if (!status.ok()) {
    return context.Fail(status, options.manifest, options.manifest.empty() ? nullptr : &loaded.parsed.places);
  }
  Show(context, response);
  return kOk;
}

}  // namespace ringfence::cli
