// ringfence rollout watch: live bars on a terminal, a line for each change otherwise.
#include <map>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/proto_value.h"
#include "server/cli/rollout_view.h"
#include "server/cli/value.h"

namespace ringfence::cli {
namespace {

// Redraws in place. Nothing is drawn twice: an unchanged picture stays.
class Screen {
 public:
  Screen(Context& context, ViewOptions view) : context_(context), view_(std::move(view)) {}

  void Show(const v1::Rollout& rollout) {
    std::string picture;
    size_t lines = 0;
    for (const Line& line : RenderRollout(rollout, view_)) {
      absl::StrAppend(&picture, "\x1b[2K", ToText(line, view_.columns - 1, context_.colour()), "\n");
      ++lines;
    }
    if (picture == last_) return;
    if (lines_ > 0) context_.out() << "\x1b[" << lines_ << "A";
    context_.out() << picture << "\x1b[J" << std::flush;
    last_ = std::move(picture);
    lines_ = lines;
  }

 private:
  Context& context_;
  const ViewOptions view_;
  std::string last_;
  size_t lines_ = 0;
};

// One line for each stage whose state or wave changed or that harmed somebody, and now and then while hosts
// move.
class Log {
 public:
  Log(Context& context, ViewOptions view) : context_(context), view_(std::move(view)) {}

  void Show(const v1::Rollout& rollout) {
    const absl::Time now = context_.world().now();
    for (const v1::Stage& stage : rollout.stages()) {
      if (!view_.tenant.empty() && stage.tenant() != view_.tenant) continue;
      if (!view_.ring.empty() && stage.ring() != view_.ring) continue;
      Seen& seen = seen_[absl::StrCat(stage.tenant(), "/", stage.ring())];
      const int64_t harmed = Harmed(stage.outcomes());
      const bool turned = seen.state != stage.state() || seen.wave != stage.wave() || seen.harmed != harmed;
      const bool moved = seen.exposed != stage.outcomes().exposed() && now - seen.at >= absl::Seconds(5);
      if (!turned && !moved) continue;
      seen = {stage.state(), stage.wave(), harmed, stage.outcomes().exposed(), now};
      context_.out() << absl::FormatTime("%H:%M:%S ", now, view_.zone) << StageLine(stage) << std::endl;
    }
    const std::string summary = Summary(rollout, view_.tenant, view_.ring);
    if (summary == summary_) return;
    summary_ = summary;
    context_.out() << absl::FormatTime("%H:%M:%S ", now, view_.zone) << rollout.release().manifest().channel()
                   << "/" << rollout.release().manifest().serial() << " is " << summary << std::endl;
  }

 private:
  struct Seen {
    int state = -1;
    int wave = -1;
    int64_t harmed = 0;
    int64_t exposed = 0;
    absl::Time at = absl::InfinitePast();
  };
  Context& context_;
  const ViewOptions view_;
  std::map<std::string, Seen> seen_;
  std::string summary_;
};

// Is the wanted end reached (true), out of reach (false), or neither yet?
std::optional<bool> Reached(const v1::Rollout& rollout, const RolloutOptions& options) {
  if (options.until.empty()) return std::nullopt;
  const std::string summary = Summary(rollout, options.tenant, options.ring);
  const bool stopped = summary == "halted" || summary == "recalled";
  if (options.until == "reverted") {
    if (stopped && rollout.revert_outstanding() == 0) return true;
    if (summary == "passed") return false;
    return std::nullopt;
  }
  if (options.until == "stopped") {  // by whatever safety brake
    return stopped || summary == "held" ? std::optional(true)
           : summary == "passed"        ? std::optional(false)
                                        : std::nullopt;
  }
  if (options.until == "settled") return stopped || summary == "passed" ? std::optional(true) : std::nullopt;
  if (summary == options.until) return true;
  if (stopped || summary == "passed") return false;
  return std::nullopt;
}

}  // namespace

int RolloutWatch(Context& context, const RolloutOptions& options) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  const World& world = context.world();
  const ViewOptions view{world.columns, world.zone, options.tenant, options.ring, /*details=*/false};
  Screen screen(context, view);
  Log log(context, view);
  v1::WatchRolloutRequest request;
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  v1::WatchRolloutResponse response;
  std::optional<bool> end;
  bool heard = false;
  constexpr int kMostRetries = 60;
  for (int retries = 0;; ++retries) {
    const absl::Status status =
        context.remote().Download("RolloutService/WatchRollout", request, &response, [&] {
          heard = true;
          retries = 0;
          if (context.output() == Output::kJson) {
            context.out() << ToJsonLine(ToValue(response.rollout())) << std::endl;
          } else if (context.output() == Output::kYaml) {
            context.out() << "---\n" << ToYaml(ToValue(response.rollout())) << std::flush;
          } else if (world.out_is_tty) {
            screen.Show(response.rollout());
          } else {
            log.Show(response.rollout());
          }
          end = Reached(response.rollout(), options);
          return !end.has_value() && !world.interrupted();
        });
    if (end.has_value()) {
      if (!*end)
        context.err() << "ringfence: it ended " << Summary(response.rollout(), options.tenant, options.ring)
                      << ", not " << options.until << "\n";
      return *end ? kOk : kOutcome;
    }
    if (world.interrupted()) return kInterrupted;
    // A server that restarts is watched again; one that was never there is an error.
    const bool lost = absl::IsUnavailable(status) || absl::IsCancelled(status) || status.ok();
    if (!heard || !lost || retries >= kMostRetries)
      return context.Fail(status.ok() ? absl::UnavailableError("the server ended the stream") : status);
    if (retries == 0) context.err() << "ringfence: connection lost, trying again\n";
    absl::SleepFor(absl::Seconds(1));
  }
}

}  // namespace ringfence::cli
