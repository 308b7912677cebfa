#include "ringfence/agent/slot_loader.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ringfence/agent/agent.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::agent {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(20);

}  // namespace

SlotLoader::SlotLoader(Loader* others, FileSystem* files, Clock* clock, SlotLoaderOptions options)
    : others_(others), files_(files), clock_(clock), options_(std::move(options)) {
  failures_ = files_->Read(options_.folder + "/failures").value_or("");
}

// Opened anew for each use: the loader writes the same records.
loader::Slots SlotLoader::Open() const {
  return loader::Slots(files_, {options_.folder, options_.sensor, options_.build_keys, /*shared=*/true});
}

std::optional<Digest> SlotLoader::Started() const {
  const absl::StatusOr<std::string> bytes = files_->Read(options_.folder + "/running");
  if (!bytes.ok()) return std::nullopt;
  return Sha256(*bytes);
}

std::vector<Running> SlotLoader::Attest() {
  std::vector<Running> running;
  for (Running& one : others_->Attest()) {
    if (one.channel != options_.channel) running.push_back(std::move(one));
  }
  if (const std::optional<Digest> started = Started()) {
    running.push_back({options_.channel, *started});
    std::sort(running.begin(), running.end(),
              [](const Running& a, const Running& b) { return a.channel < b.channel; });
  }
  return running;
}

absl::Status SlotLoader::Check(absl::string_view channel, const std::string& path) {
  if (channel != options_.channel) return others_->Check(channel, path);
  ASSIGN_OR_RETURN(const std::string bytes, files_->Read(path));
  loader::Slots slots = Open();
  const Digest digest = Sha256(bytes);
  if (slots.record().IsQuarantined(digest)) {
    return absl::InvalidArgumentError(absl::StrCat("known_bad: artifact sha256: found ", digest.ToString(),
                                                   ", wanted one that did not fail on this host before"));
  }
  return slots.Stage(bytes).status();
}

absl::Status SlotLoader::Flip(absl::string_view channel, const std::string& path) {
  if (channel != options_.channel) return others_->Flip(channel, path);
  ASSIGN_OR_RETURN(const std::string bytes, files_->Read(path));
  loader::Slots slots = Open();
  // Staged long ago, most often; what is gone back to may have to be brought in again.
  ASSIGN_OR_RETURN(const Digest digest, slots.Stage(bytes));
  if (options_.ensure_loader) RETURN_IF_ERROR(options_.ensure_loader());
  RETURN_IF_ERROR(slots.Flip(digest));
  const absl::Time end = clock_->Now() + options_.patience;
  while (Started() != digest) {
    if (clock_->Now() >= end) {
      const absl::Status withdrawn = slots.Withdraw(digest);
      return absl::DeadlineExceededError(
          absl::StrCat("the loader did not start it in ", absl::FormatDuration(options_.patience),
                       withdrawn.ok() ? "; it stays with what runs" : "; it has begun to by now"));
    }
    timespec pause = absl::ToTimespec(kLook);
    ::nanosleep(&pause, nullptr);
  }
  return absl::OkStatus();
}

bool SlotLoader::HasOnlyBuiltIn() const {
  return Open().record().active == loader::Slot::kBuiltIn;
}

SlotLoader::News SlotLoader::Look(const Digest& running) {
  News news;
  std::string failures = files_->Read(options_.folder + "/failures").value_or("");
  if (failures != failures_ && !failures.empty()) {
    const std::vector<std::string> words =
        absl::StrSplit(absl::StripTrailingAsciiWhitespace(failures), absl::MaxSplits(' ', 2));
    const absl::StatusOr<Digest> digest =
        words.size() == 3 ? Digest::Parse(words[1]) : absl::StatusOr<Digest>(absl::NotFoundError(""));
    if (digest.ok())
      news.crash = Reported{EventKind::kCrash, options_.channel, *digest, "",
                            absl::StrCat("the sensor failed: ", words[2])};
  }
  failures_ = std::move(failures);
  const std::optional<Digest> started = Started();
  if (!started.has_value() || running.IsZero() || *started == running) return news;
  news.fell_back = FellBack{options_.channel, running, *started,
                            Open().record().IsQuarantined(running)
                                ? "it failed at each of its starts and is quarantined"
                                : "the loader could not start it, and started what is good"};
  return news;
}

void LookAfter(SlotLoader& slots, Agent& agent) {
  const ChannelState* state = agent.machine().Find(slots.channel());
  SlotLoader::News news = slots.Look(state == nullptr ? Digest{} : state->running);
  if (news.crash.has_value()) agent.Report(*std::move(news.crash));
  // What is being activated is no way back, even if the loader was slow to start it.
  if (!news.fell_back.has_value() ||
      (state->phase != Phase::kIdle && news.fell_back->to == state->candidate.digest))
    return;
  agent.FellBackTo(*std::move(news.fell_back));
}

}  // namespace ringfence::agent
