// Warnings(Plan): legal, but probably not meant. Small named questions, in the order in which an admin reads
// a plan.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/policy/plan.h"

namespace ringfence::policy {
namespace {

using Sentences = std::vector<std::string>;

constexpr absl::Duration kEndsSoon = absl::Hours(24 * 14);

void AboutMembership(const Plan& plan, Sentences& out) {
  for (size_t i = 0; i < plan.rings.size(); ++i) {
    const bool takes_all = plan.rings[i].selector == Selector();
    if (takes_all && i + 1 < plan.rings.size()) {
      out.push_back(absl::StrCat("Ring ", plan.rings[i].name,
                                 " takes every host, so no host ever reaches ring ", plan.rings[i + 1].name,
                                 " or any after it."));
      return;
    }
    if (!takes_all && i + 1 == plan.rings.size()) {
      out.push_back(absl::StrCat("No ring takes every host: hosts that match none, ", plan.rings[i].name,
                                 " being the last, are never offered anything."));
    }
  }
}

void AboutLag(const Plan& plan, Sentences& out) {
  const auto lags = [](const Ring& ring) { return ring.lag > 0; };
  if (!plan.rings.empty() && std::all_of(plan.rings.begin(), plan.rings.end(), lags)) {
    out.push_back(
        "Every ring lags and none leads: no host ever takes the newest release, so nobody in this plan "
        "proves it.");
    return;
  }
  for (size_t i = 0; i < plan.rings.size(); ++i) {
    const Ring& ring = plan.rings[i];
    const bool led = std::any_of(plan.rings.begin(), plan.rings.begin() + static_cast<std::ptrdiff_t>(i),
                                 [&](const Ring& earlier) { return earlier.lag < ring.lag; });
    if (ring.lag > 0 && !led) {
      out.push_back(absl::StrCat(
          "Ring ", ring.name, " lags by ", ring.lag,
          " before any ring that leads it: it takes releases that no earlier ring of this plan proved."));
    }
  }
}

// A ring behind a lagging ring that is itself followed by one with a smaller lag waits for both, and in a
// fast stream the two skip different releases.
void AboutUnlikeLeaders(const Plan& plan, Sentences& out) {
  for (size_t last = 2; last < plan.rings.size(); ++last) {
    for (size_t first = 0; first + 1 < last; ++first) {
      const int lag = plan.rings[first].lag;
      const auto leads_it = [&](const Ring& ring) { return ring.lag < lag; };
      const auto begin = plan.rings.begin() + static_cast<std::ptrdiff_t>(first) + 1;
      const auto end = plan.rings.begin() + static_cast<std::ptrdiff_t>(last);
      if (lag > plan.rings[last].lag || std::none_of(begin, end, leads_it)) continue;
      out.push_back(absl::StrCat("Ring ", plan.rings[last].name, " takes only releases that both ring ",
                                 plan.rings[first].name,
                                 " and a later ring with a smaller lag passed; when releases ",
                                 "come faster than they soak, these may be few."));
      break;
    }
  }
}

void AboutRules(const Plan& plan, Sentences& out) {
  for (const ChannelRule& rule : plan.channels) {
    if (rule.mode != ChannelMode::kFollow && rule.lag > 0) {
      out.push_back(absl::StrCat("Channel ", rule.channel, " has a lag of ", rule.lag,
                                 " that means nothing while it is pinned or paused."));
    } else if (rule.lag > 0 && std::all_of(plan.rings.begin(), plan.rings.end(), [&](const Ring& ring) {
                 return EffectiveLag(ring, rule) <= rule.lag;
               })) {
      out.push_back(absl::StrCat(
          "Channel ", rule.channel, " lags by ", rule.lag,
          " in every ring: no host takes its newest release, so nobody in this plan proves it."));
    }
  }
}

// "a", "a and b", "a, b and c".
std::string Listed(const Sentences& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i)
    absl::StrAppend(&out, i == 0 ? "" : i + 1 < names.size() ? ", " : " and ", names[i]);
  return out;
}

void AboutWaves(const Plan& plan, Sentences& out) {
  Sentences at_once;
  for (const Ring& ring : plan.rings) {
    if (ring.waves.size() == 1 && ring.waves.front().share.value == Ppm::kWhole) at_once.push_back(ring.name);
  }
  if (at_once.size() == 1) {
    out.push_back(absl::StrCat("Ring ", at_once.front(),
                               " has one wave of all its hosts: only the exposure budget slows it."));
  } else if (!at_once.empty()) {
    out.push_back(absl::StrCat("Rings ", Listed(at_once),
                               " have one wave of all their hosts: only the exposure budget slows them."));
  }
  for (const Ring& ring : plan.rings) {
    if (ring.waves.empty()) continue;
    if (const Wave& last = ring.waves.back(); last.max_hosts.has_value()) {
      out.push_back(absl::StrCat("The last wave of ring ", ring.name, " lets in at most ", *last.max_hosts,
                                 " hosts: when these are proven the ring passes, and its other hosts ",
                                 "are let in with no wave to slow them."));
    }
    if (ring.soak < kSoakFloor) {
      out.push_back(absl::StrCat("Ring ", ring.name, " asks for a soak of ", absl::FormatDuration(ring.soak),
                                 "; it is ", absl::FormatDuration(kSoakFloor), ", the least there is."));
    }
  }
}

void AboutGates(const Plan& plan, Sentences& out) {
  const SloGates& gates = plan.gates;
  if (!gates.crash && !gates.silence && !gates.degraded) {
    out.push_back("There is no SLO gate: only the statistical evidence can stop a bad release.");
    if (!gates.cohort_keys.empty())
      out.push_back("There are cohort keys but no SLO gate to judge their values by.");
  } else if (!gates.silence) {
    out.push_back(
        "There is no silence gate, and a host that is bricked says nothing: only the evidence can see it.");
  }
}

// A ring that asks nobody, behind one that asks: it waits for that person all the same.
void AboutApproval(const Plan& plan, Sentences& out) {
  for (const ChannelRule& rule : plan.channels) {
    const auto asks = [&](const Ring& ring) {
      return EffectiveApproval(plan, ring, rule.channel) == Approval::kExplicit;
    };
    const auto first = std::find_if(plan.rings.begin(), plan.rings.end(), asks);
    const auto waits = std::find_if_not(first, plan.rings.end(), asks);
    if (waits == plan.rings.end()) continue;
    out.push_back(absl::StrCat("Ring ", first->name, " waits for an approval in channel ", rule.channel,
                               ", and so do the rings after it that ask nobody, as ", waits->name,
                               ", unless they lag less."));
  }
}

void AboutUncovered(const Plan& plan, Sentences& out) {
  if (plan.uncovered_cohorts != UncoveredCohorts::kHold) return;
  if (plan.gates.cohort_keys.empty())
    out.push_back("uncovered_cohorts is hold, and gates.cohort_keys names no label: no ring is ever held.");
}

void AboutDenied(const Plan& plan, Sentences& out) {
  for (const ChannelRule& rule : plan.channels) {
    for (const Denied& denied : plan.deny) {
      if (denied.digest.has_value() || denied.channel != rule.channel) continue;
      if (rule.mode == ChannelMode::kPinned && denied.version == rule.pinned_version) {
        out.push_back(absl::StrCat("Channel ", rule.channel, " is pinned to ", denied.version,
                                   ", which the deny list bars: nothing moves."));
      }
      if (std::find(rule.barriers.begin(), rule.barriers.end(), denied.version) != rule.barriers.end()) {
        out.push_back(absl::StrCat("Version ", denied.version, " of channel ", rule.channel,
                                   " is a barrier and denied: nothing newer is ever taken."));
      }
    }
  }
}

// Where no release waits for its age there is nothing that an approval could shorten.
void AboutHaste(const Plan& plan, Sentences& out) {
  for (const Ring& ring : plan.rings) {
    if (!ring.hasten_to.has_value()) continue;
    const bool shortens =
        std::any_of(plan.channels.begin(), plan.channels.end(), [&](const ChannelRule& rule) {
          return EffectiveMinAge(plan, ring, rule.channel, false) > *ring.hasten_to;
        });
    if (!shortens)
      out.push_back(absl::StrCat("Ring ", ring.name, " lets an approval shorten its min_age to ",
                                 absl::FormatDuration(*ring.hasten_to), ", and asks for no more than that."));
  }
}

void AboutValidity(const Plan& plan, absl::Time now, Sentences& out) {
  if (!plan.valid_until.has_value()) return;
  const std::string until = absl::FormatTime("%Y-%m-%d %H:%M UTC", *plan.valid_until, absl::UTCTimeZone());
  if (HasExpired(plan, now)) {
    out.push_back(absl::StrCat("The plan was valid until ", until, ": by it nobody is let in any more."));
  } else if (*plan.valid_until - now < kEndsSoon) {
    out.push_back(absl::StrCat("The plan is valid until ", until,
                               ": without a newer one nobody is let in from then on."));
  }
}

void AboutFreezes(const Plan& plan, absl::Time now, Sentences& out) {
  for (const Freeze& freeze : plan.freezes) {
    if (freeze.to > now) continue;
    out.push_back(absl::StrCat("The freeze \"", freeze.reason, "\" ended on ",
                               absl::FormatTime("%Y-%m-%d", freeze.to, absl::UTCTimeZone()),
                               ": it does nothing any more."));
  }
}

// How long the waves of a ring need at least, when each opens only while the calendar lets hosts in.
void AboutCalendar(const Plan& plan, absl::Time now, Sentences& out) {
  for (const Ring& ring : plan.rings) {
    std::map<std::string, Sentences> channels;  // of which the same is to be said
    for (const ChannelRule& rule : plan.channels) {
      if (rule.mode == ChannelMode::kPaused) continue;
      const Calendar calendar = CalendarOf(plan, ring, rule.channel, false);
      if (calendar.windows.empty()) continue;
      const auto next_open = [&](absl::Time time) {
        const CalendarAnswer answer = Ask(calendar, time);
        return answer.open() ? time : answer.until;
      };
      const absl::Time first = next_open(now);
      absl::Time passed = first;
      for (size_t i = 0; i < ring.waves.size() && passed != absl::InfiniteFuture(); ++i) {
        passed = next_open(passed + EffectiveSoak(plan, ring, false));
      }
      if (passed == absl::InfiniteFuture()) {
        channels["do not open often enough within two years to pass its waves"].push_back(rule.channel);
        continue;
      }
      const absl::Duration soaks = EffectiveSoak(plan, ring, false) * static_cast<int64_t>(ring.waves.size());
      if (passed - first < soaks + absl::Hours(24)) continue;
      channels[absl::StrCat("do not open when a soak ends: its ", ring.waves.size(),
                            ring.waves.size() == 1 ? " wave needs" : " waves need", " at least ",
                            absl::ToInt64Hours(passed - first) / 24, " days, where soaks alone would need ",
                            absl::FormatDuration(soaks))]
          .push_back(rule.channel);
    }
    for (const auto& [what, names] : channels) {
      out.push_back(
          absl::StrCat("The windows of ring ", ring.name, " in channel ", Listed(names), " ", what, "."));
    }
  }
}

}  // namespace

std::vector<std::string> Warnings(const Plan& plan, absl::Time now) {
  Sentences out = Warnings(plan);
  AboutValidity(plan, now, out);
  AboutFreezes(plan, now, out);
  AboutCalendar(plan, now, out);
  return out;
}

std::vector<std::string> Warnings(const Plan& plan) {
  Sentences out;
  AboutMembership(plan, out);
  AboutLag(plan, out);
  AboutUnlikeLeaders(plan, out);
  AboutRules(plan, out);
  AboutWaves(plan, out);
  AboutGates(plan, out);
  AboutApproval(plan, out);
  AboutHaste(plan, out);
  AboutUncovered(plan, out);
  AboutDenied(plan, out);
  return out;
}

}  // namespace ringfence::policy
