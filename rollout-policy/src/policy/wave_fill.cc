#include "wave_fill.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

#include "ringfence/policy/decide.h"
#include "ringfence/policy/draw.h"
#include "ringfence/policy/governor.h"

namespace ringfence::policy {
namespace {

constexpr double kWarmUp = 2.5;     // check-ins before the first draw of a stage
constexpr int kMostSteps = 20'000;  // two weeks of minutes: a wave that is slower is not foreseen

// Hosts that asked and were made controls ask again only when their probation is over.
class Askers {
 public:
  explicit Askers(double ready) : ready_(ready) {}
  void Release(absl::Time now) {
    while (!locked_.empty() && locked_.front().first <= now) {
      ready_ += locked_.front().second;
      locked_.pop_front();
    }
  }
  double ready() const { return ready_; }
  void Take(double let_in, double controls, absl::Time until) {
    ready_ -= let_in + controls;
    locked_.emplace_back(until, controls);
  }

 private:
  double ready_;
  std::deque<std::pair<absl::Time, double>> locked_;
};

struct Proof {
  absl::Time at;
  double hosts;
  bool own;  // of this wave
};

}  // namespace

Filling FillWave(const FillInput& in) {
  Filling out;
  const auto members = static_cast<double>(in.members);
  const auto cap = static_cast<double>(std::min(in.cap, in.members));
  const auto before = static_cast<double>(in.exposed);
  const auto b0 = static_cast<double>(StartBudget(in.members));
  double exposed = before;
  double proven = static_cast<double>(std::min(in.confirmed, in.exposed));
  double own_proven = 0;  // of those that this wave lets in
  std::deque<Proof> proofs;
  // Those let in before and not proven yet are so within a probation.
  if (exposed > proven) proofs.push_back({in.start + in.probation, exposed - proven, false});
  Askers askers(std::max(0.0, members - exposed));
  bool unhealthy = false;

  absl::Time at = in.first ? in.start + kWarmUp * in.checkin : in.start;
  for (int i = 0; i < kMostSteps && at < in.end; ++i, at += in.checkin) {
    for (; !proofs.empty() && proofs.front().at <= at; proofs.pop_front()) {
      proven += proofs.front().hosts;
      own_proven += proofs.front().own ? proofs.front().hosts : 0;
      if (unhealthy && proven >= exposed - proven) {
        out.unproven.back().second = proofs.front().at;
        unhealthy = false;
      }
    }
    askers.Release(at);
    if (out.full != absl::InfiniteFuture()) {
      // A wave that let nobody in rests on the proof of the whole stage.
      const double let_in = exposed > before ? exposed - before : exposed;
      const double good = exposed > before ? own_proven : proven;
      if (good * 2 < let_in || good < std::min(1.0, let_in)) continue;
      out.half_proven = at;
      break;
    }
    if (const CalendarAnswer calendar = Ask(in.calendar, at); !calendar.open()) {
      if (calendar.until >= in.end) break;
      // Proofs come while it is shut too; when there are none left, nothing happens before it opens.
      if (proofs.empty()) at = std::max(at, calendar.until - in.checkin);
      continue;
    }
    const double tokens = std::floor(b0 + proven - (exposed - proven) + 1e-9);
    const double enrolled =
        std::min(askers.ready(), std::max(static_cast<double>(kEnrolFloor), 21.0 * std::max(0.0, tokens)));
    double let_in = std::min({std::max(0.0, tokens), kPiMax * enrolled, std::max(0.0, cap - exposed)});
    if (in.hosts_per_minute.has_value()) {
      let_in = std::min(let_in, static_cast<double>(*in.hosts_per_minute) *
                                    absl::FDivDuration(in.checkin, absl::Minutes(1)));
    }
    askers.Take(let_in, std::max(0.0, enrolled - let_in), at + in.probation);
    if (let_in > 0) {
      exposed += let_in;
      proofs.push_back({at + in.probation, let_in, true});
      out.points.push_back({at, exposed});
      if (!unhealthy && exposed - proven > proven) {
        out.unproven.emplace_back(at, in.end);
        unhealthy = true;
      }
    }
    const double left = members - exposed, asked = (exposed - before) + left;
    if (exposed >= cap - 0.5 || left <= kStragglerShare * asked) {
      out.full = at;
      // The last few come after the wave has passed, one by one.
      if (cap > exposed) out.points.push_back({at, cap});
    }
  }
  return out;
}

}  // namespace ringfence::policy
