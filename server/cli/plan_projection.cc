#include "server/cli/plan_projection.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/cli/human.h"
#include "server/cli/table.h"

namespace ringfence::cli {
namespace {

constexpr int kBars = 48;
constexpr const char* kLevels[] = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

// Rings in the order of the proposed plan, then those that only today's has.
using WaveKey = std::tuple<uint64_t, size_t, int>;  // serial, ring, wave
struct WaveRow {
  const v1::ProjectedWave* now = nullptr;
  const v1::ProjectedWave* then = nullptr;
};

const v1::Projection* Find(const google::protobuf::RepeatedPtrField<v1::Projection>& all,
                           const std::string& channel) {
  for (const v1::Projection& one : all) {
    if (one.channel() == channel) return &one;
  }
  return nullptr;
}

std::string Release(uint64_t serial, const std::string& version) {
  return absl::StrCat(serial, " ", Printable(version));
}

std::string Opening(const Context& context, const v1::ProjectedWave* wave, absl::Time now) {
  if (wave == nullptr) return "-";
  return ToTime(wave->opens()) <= now ? "open" : context.Time(wave->opens());
}

class ChannelText {
 public:
  ChannelText(const Context& context, const v1::Projection* now, const v1::Projection* then)
      : context_(context), now_(now), then_(then), at_(context.world().now()) {
    for (const v1::Projection* projection : {then, now}) {
      if (projection == nullptr) continue;
      for (const v1::ProjectedRing& ring : projection->rings()) {
        if (std::find(rings_.begin(), rings_.end(), ring.ring()) == rings_.end())
          rings_.push_back(ring.ring());
      }
    }
  }

  std::string Waves() const {
    std::map<WaveKey, WaveRow> rows;
    std::map<uint64_t, std::string> versions;
    const auto collect = [&](const v1::Projection* projection, const v1::ProjectedWave* WaveRow::*side) {
      if (projection == nullptr) return;
      for (const v1::ProjectedRing& ring : projection->rings()) {
        const auto place = std::find(rings_.begin(), rings_.end(), ring.ring()) - rings_.begin();
        for (const v1::ProjectedWave& wave : ring.waves()) {
          rows[{wave.serial(), static_cast<size_t>(place), wave.wave()}].*side = &wave;
          versions[wave.serial()] = wave.version();
        }
      }
    };
    collect(now_, &WaveRow::now);
    collect(then_, &WaveRow::then);
    if (rows.empty()) return "";
    Table table({"RELEASE", "RING", ">WAVE", ">HOSTS", "OPENS TODAY", ">HOSTS", "WITH THIS PLAN", "PASSES"},
                "");
    for (const auto& [key, row] : rows) {
      const auto& [serial, ring, wave] = key;
      const auto hosts = [](const v1::ProjectedWave* side) {
        return side == nullptr ? std::string("-") : absl::StrCat(side->hosts());
      };
      table.Row({Release(serial, versions[serial]), rings_[ring], absl::StrCat(wave), hosts(row.now),
                 Opening(context_, row.now, at_), hosts(row.then), Opening(context_, row.then, at_),
                 row.then == nullptr || !row.then->has_passes() ? "-" : context_.Time(row.then->passes())});
    }
    return table.ToString();
  }

  std::string Holds() const {
    Table table({"RING", "RELEASE", "KEPT BY", "FROM", "UNTIL", "DETAIL"}, "");
    bool any = false;
    if (then_ == nullptr) return "";
    for (const v1::ProjectedRing& ring : then_->rings()) {
      for (const v1::ProjectedHold& hold : ring.holds()) {
        any = true;
        const bool begun = ToTime(hold.from()) <= at_;
        table.Row({ring.ring(), Release(hold.serial(), hold.version()), Printable(hold.reason()),
                   begun ? "now" : context_.Time(hold.from()),
                   hold.has_until() ? context_.Time(hold.until()) : "-", Printable(hold.detail())});
      }
    }
    return any ? table.ToString() : "";
  }

  // Both lines of a release share their axes: time from left to right, all hosts of the plan's rings as
  // height.
  std::string Exposure() const {
    std::string out;
    std::vector<std::pair<uint64_t, std::string>> releases;
    absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
    int64_t most = 1;
    for (const v1::Projection* projection : {now_, then_}) {
      if (projection == nullptr) continue;
      for (const v1::ReleaseExposure& exposure : projection->exposure()) {
        const std::pair<uint64_t, std::string> name(exposure.serial(), exposure.version());
        if (std::find(releases.begin(), releases.end(), name) == releases.end()) releases.push_back(name);
        for (const v1::ExposurePoint& point : exposure.points()) {
          first = std::min(first, ToTime(point.at()));
          last = std::max(last, ToTime(point.at()));
          most = std::max(most, point.hosts());
        }
      }
    }
    if (releases.empty() || last <= first) return "";
    std::sort(releases.begin(), releases.end());
    for (const auto& [serial, version] : releases) {
      for (const auto& [side, word] : {std::pair(now_, "today    "), std::pair(then_, "this plan")}) {
        const v1::ReleaseExposure* exposure = nullptr;
        for (int i = 0; side != nullptr && i < side->exposure_size(); ++i) {
          if (side->exposure(i).serial() == serial) exposure = &side->exposure(i);
        }
        absl::StrAppend(&out, Release(serial, version), "  ", word, "  ");
        int64_t end = 0;
        for (int column = 0; column < kBars; ++column) {
          const absl::Time at = first + (last - first) * (column + 1) / kBars;
          int64_t hosts = 0;
          for (int i = 0; exposure != nullptr && i < exposure->points_size(); ++i) {
            if (ToTime(exposure->points(i).at()) <= at) hosts = exposure->points(i).hosts();
          }
          end = hosts;
          absl::StrAppend(&out, kLevels[hosts == 0 ? 0 : 1 + (hosts * 7) / most]);
        }
        absl::StrAppend(&out, "  ", end, end == 1 ? " host\n" : " hosts\n");
      }
    }
    const std::string from = HumanTime(first, context_.world().zone),
                      to = HumanTime(last, context_.world().zone);
    return absl::StrCat("hosts that run it, from ", from, " to ", to, "\n", out);
  }

 private:
  const Context& context_;
  const v1::Projection* const now_;
  const v1::Projection* const then_;
  const absl::Time at_;
  std::vector<std::string> rings_;
};

}  // namespace

std::string ProjectionText(const Context& context, const v1::PreviewPlanResponse& preview) {
  std::vector<std::string> channels;
  for (const auto* all : {&preview.projected_then(), &preview.projected_now()}) {
    for (const v1::Projection& one : *all) {
      if (std::find(channels.begin(), channels.end(), one.channel()) == channels.end())
        channels.push_back(one.channel());
    }
  }
  std::string out;
  for (const std::string& channel : channels) {
    const ChannelText text(context, Find(preview.projected_now(), channel),
                           Find(preview.projected_then(), channel));
    const std::string waves = text.Waves(), holds = text.Holds(), exposure = text.Exposure();
    if (waves.empty() && holds.empty()) continue;
    absl::StrAppend(&out, "channel ", Printable(channel),
                    ", if all goes well (every time is the earliest)\n\n", waves, waves.empty() ? "" : "\n",
                    holds, holds.empty() ? "" : "\n", exposure, exposure.empty() ? "" : "\n");
  }
  return out;
}

}  // namespace ringfence::cli
