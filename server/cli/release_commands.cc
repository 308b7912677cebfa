// ringfence release ...
#include <algorithm>
#include <ostream>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/release.pb.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/proto_value.h"
#include "server/cli/table.h"

namespace ringfence::cli {
namespace {

std::string SelectorText(const v1::Selector& selector) {
  if (selector.all_of_size() == 0) return "every host";
  return absl::StrJoin(selector.all_of(), " ", [](std::string* out, const v1::Requirement& requirement) {
    absl::StrAppend(out, requirement.key(), "=", absl::StrJoin(requirement.any_of(), "|"));
  });
}

absl::Status ListAll(Context& context, const std::string& channel, int limit, v1::ListReleasesResponse* all) {
  std::string page;
  do {
    v1::ListReleasesRequest request;
    v1::ListReleasesResponse response;
    request.set_channel(channel);
    request.set_page_size(std::clamp(limit - all->releases_size(), 1, 1000));
    request.set_page_token(page);
    RETURN_IF_ERROR(context.remote().Call("ReleaseService/ListReleases", request, &response));
    all->MergeFrom(response);
    page = response.next_page_token();
  } while (!page.empty() && all->releases_size() < limit);
  all->set_next_page_token(page);
  return absl::OkStatus();
}

void PrintRelease(Context& context, const v1::Release& release) {
  if (!context.table()) return context.Print(release);
  const v1::ReleaseManifest& manifest = release.manifest();
  std::vector<std::pair<std::string, std::string>> lines = {
      {"release", absl::StrCat(manifest.channel(), "/", manifest.serial(), " ", manifest.version())},
      {"kind", EnumWord(*v1::ChannelKind_descriptor(), manifest.kind())},
      {"state", EnumWord(*v1::ReleaseState_descriptor(), release.state())},
      {"signature", EnumWord(*v1::SignatureState_descriptor(), release.signature())},
      {"qualification", EnumWord(*v1::QualificationState_descriptor(), release.qualification())},
      {"sha256", absl::BytesToHexString(manifest.digest())},
      {"size", HumanBytes(release.size_bytes())},
      {"targets", SelectorText(manifest.targets())}};
  for (const v1::ReleaseArtifact& artifact : release.artifacts()) {
    lines.emplace_back("artifact", absl::StrCat(artifact.path(), " (", HumanBytes(artifact.size_bytes()),
                                                ", sha256 ", ShortDigest(artifact.digest()), ")"));
    for (const v1::Selector& platform : artifact.matrix())
      lines.emplace_back("tested on", SelectorText(platform));
  }
  if (release.artifacts_size() == 0) {
    for (const v1::Selector& platform : manifest.matrix())
      lines.emplace_back("tested on", SelectorText(platform));
  }
  lines.emplace_back("urgent", manifest.urgent() ? "yes" : "no");
  lines.emplace_back("published",
                     absl::StrCat(context.Time(release.published_at()), " by ", release.published_by()));
  context.out() << KeyValues(lines);
}

}  // namespace

absl::Status AddPairs(const std::string& text, v1::Selector* selector) {
  for (const absl::string_view pair : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const size_t equals = pair.find('=');
    if (equals == 0 || equals == absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", pair, "' is no label: wanted key=value or key=one|other"));
    }
    v1::Requirement* requirement = selector->add_all_of();
    requirement->set_key(std::string(pair.substr(0, equals)));
    for (const absl::string_view value : absl::StrSplit(pair.substr(equals + 1), '|')) {
      requirement->add_any_of(std::string(value));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ReleaseName> FindRelease(Context& context, const std::string& text) {
  ReleaseName name;
  const size_t slash = text.find('/');
  name.channel = text.substr(0, slash);
  if (slash == std::string::npos) return name;
  const std::string rest = text.substr(slash + 1);
  if (absl::SimpleAtoi(rest, &name.serial)) return name;
  v1::ListReleasesResponse all;
  RETURN_IF_ERROR(ListAll(context, name.channel, 100'000, &all));
  for (const v1::Release& release : all.releases()) {
    if (release.manifest().version() != rest) continue;
    name.serial = release.manifest().serial();
    return name;
  }
  return absl::NotFoundError(absl::StrCat("channel ", name.channel, " has no release with version ", rest));
}

int ReleaseList(Context& context, const ReleaseOptions& options) {
  v1::ListReleasesResponse all;
  const absl::Status status = ListAll(context, options.channel, options.limit, &all);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(all);
    return kOk;
  }
  Table table({"CHANNEL", ">SERIAL", "VERSION", "STATE", "SIGNATURE", ">SIZE", "SHA256", "PUBLISHED", "BY"},
              "no release was published yet");
  for (const v1::Release& release : all.releases()) {
    const v1::ReleaseManifest& manifest = release.manifest();
    table.Row({manifest.channel(), absl::StrCat(manifest.serial()), manifest.version(),
               EnumWord(*v1::ReleaseState_descriptor(), release.state()),
               EnumWord(*v1::SignatureState_descriptor(), release.signature()),
               HumanBytes(release.size_bytes()), ShortDigest(manifest.digest()),
               context.Time(release.published_at()), release.published_by()});
  }
  context.out() << table.ToString();
  if (!all.next_page_token().empty()) context.err() << "there are more: --limit\n";
  return kOk;
}

int ReleaseShow(Context& context, const ReleaseOptions& options) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  if (name->serial == 0) return context.Usage("wanted CHANNEL/SERIAL or CHANNEL/VERSION");
  v1::GetReleaseRequest request;
  v1::GetReleaseResponse response;
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  const absl::Status status = context.remote().Call("ReleaseService/GetRelease", request, &response);
  if (!status.ok()) return context.Fail(status);
  PrintRelease(context, response.release());
  return kOk;
}

int ReleaseRecall(Context& context, const ReleaseOptions& options) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  if (name->serial == 0) return context.Usage("wanted CHANNEL/SERIAL or CHANNEL/VERSION");
  if (!context.Confirm(
          absl::StrCat("Recall ", name->channel, "/", name->serial,
                       " for good? No host gets it any more, exposed hosts are ordered back."))) {
    return kRefused;
  }
  v1::RecallReleaseRequest request;
  v1::RecallReleaseResponse response;
  request.set_request_id(context.request_id());
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  request.set_reason(options.reason);
  const absl::Status status = context.remote().Call("ReleaseService/RecallRelease", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (context.table()) {
    context.out() << "recalled " << name->channel << "/" << name->serial << " "
                  << response.release().manifest().version() << "; exposed hosts are ordered back\n";
  } else {
    context.Print(response);
  }
  return kOk;
}

}  // namespace ringfence::cli
