// Releases: built, published by the release manager, and what the scenario says about who may have them.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "server/app/app.h"
#include "server/simulate/plan_builder.h"
#include "server/simulate/world.h"

namespace ringfence::replay {
namespace {

// Serials leave room below for a stale one.
constexpr uint64_t kFirstSerial = 100;

size_t SlotOf(const std::string& channel) {
  return channel == kContentChannel ? kContentSlot : kSensorSlot;
}

}  // namespace

uint16_t World::AddVersion(Version version) {
  RF_CHECK(ledger_.versions.size() < kNoIndex);
  const auto index = static_cast<uint16_t>(ledger_.versions.size());
  version_of_[version.digest] = index;
  ledger_.versions.push_back(std::move(version));
  return index;
}

void World::SchedulePublishes() {
  struct Planned {
    Micros at;
    int release;
    int64_t number;
  };
  std::vector<Planned> planned;
  for (size_t r = 0; r < scenario_.releases.size(); ++r) {
    const ReleaseSpec& release = scenario_.releases[r];
    const int64_t count = release.stream.has_value() ? release.stream->count : 1;
    for (int64_t k = 0; k < count; ++k) {
      const Micros at = release.at + (release.stream.has_value() ? k * release.stream->every : 0);
      planned.push_back({at, static_cast<int>(r), k});
    }
  }
  std::stable_sort(planned.begin(), planned.end(),
                   [](const Planned& x, const Planned& y) { return x.at < y.at; });
  uint64_t next_serial[kSlots] = {kFirstSerial, kFirstSerial};
  for (const Planned& plan : planned) {
    const ReleaseSpec& release = scenario_.releases[static_cast<size_t>(plan.release)];
    PublishRecord record;
    record.at = plan.at;
    record.form = release.form;
    record.evidence = release.evidence;
    Version version;
    version.slot = SlotOf(release.channel);
    version.text = release.version;
    version.release = plan.release;
    version.harmful = true;
    if (release.stream.has_value()) {
      if (plan.number > 0) version.text = absl::StrCat(release.version, ".", plan.number);
      const std::vector<ArtifactForm>& forms = release.stream->forms;
      if (!forms.empty()) record.form = forms[static_cast<size_t>(plan.number) % forms.size()];
      version.harmful = forms.empty() || record.form != ArtifactForm::kWellFormed;
    }
    version.serial = record.form == ArtifactForm::kStaleVersion ? 1 : next_serial[version.slot]++;
    version.digest =
        artifacts_->Make(release, record.form, record.evidence, version.text, version.serial).release.digest;
    record.version = AddVersion(std::move(version));
    ledger_.publishes.push_back(std::move(record));
    Push(plan.at, Kind::kPublish, static_cast<uint32_t>(ledger_.publishes.size() - 1));
  }
}

void World::OnPublish(uint32_t publish) {
  PublishRecord& record = ledger_.publishes[publish];
  const Version& version = ledger_.versions[record.version];
  const ReleaseSpec& spec = scenario_.releases[static_cast<size_t>(version.release)];
  const bool any_before =
      std::any_of(ledger_.publishes.begin(), ledger_.publishes.end(), [&](const auto& other) {
        return other.accepted && ledger_.versions[other.version].slot == version.slot;
      });
  if (record.form == ArtifactForm::kStaleVersion && !any_before && server_up_)
    NoteServer(server_->Publish(artifacts_->MakeBaseline(spec, kFirstSerial - 1)).status());
  const app::PublishRequest request =
      artifacts_->Make(spec, record.form, record.evidence, version.text, version.serial);
  const auto reply = server_up_ ? server_->Publish(request) : absl::UnavailableError("the server is down");
  if (reply.ok()) {
    record.accepted = true;
    record.warnings = reply->warnings;
    return;
  }
  record.message = std::string(reply.status().message());
  if (const auto refusal = reply.status().GetPayload(app::App::kRefusalUrl))
    record.refusal = std::string(*refusal);
}

bool World::IsAdmitted(const Host& host, const Version& version) const {
  const ChannelPolicy& policy = fleet_.PolicyOf(host, version.slot);
  switch (policy.mode) {
    case policy::ChannelMode::kPaused:
      return false;
    case policy::ChannelMode::kPinned:
      return policy.pinned_version == version.text;
    case policy::ChannelMode::kFollow:
      break;
  }
  // How many newer ones are out: a tenant on N-1 is admitted to exactly the second newest.
  int newer = 0;
  for (const PublishRecord& other : ledger_.publishes) {
    const Version& its = ledger_.versions[other.version];
    if (other.accepted && its.slot == version.slot && its.serial > version.serial) ++newer;
  }
  return newer == policy.lag;
}

bool World::IsTargetedAndQualified(const Host& host, const Version& version) const {
  const ReleaseSpec& spec = scenario_.releases[static_cast<size_t>(version.release)];
  return fleet_.Matches(spec.targets, host) &&
         std::any_of(spec.matrix.begin(), spec.matrix.end(),
                     [&](const policy::Selector& platform) { return fleet_.Matches(platform, host); });
}

}  // namespace ringfence::replay
