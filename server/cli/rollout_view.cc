#include "server/cli/rollout_view.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/cli/context.h"
#include "server/cli/human.h"
#include "server/cli/proto_value.h"

namespace ringfence::cli {
namespace {

std::string StateWord(v1::StageState state) {
  return EnumWord(*v1::StageState_descriptor(), state);
}

bool Wanted(const v1::Stage& stage, const std::string& tenant, const std::string& ring) {
  return (tenant.empty() || stage.tenant() == tenant) && (ring.empty() || stage.ring() == ring);
}

std::string Padded(absl::string_view text, size_t columns) {
  std::string out(text);
  const size_t has = Columns(text);
  if (has < columns) out.append(columns - has, ' ');
  return out;
}

// Confirmed, still unproven, harmed, went back, and the hosts not let in yet, in proportion to the ring.
// Whoever exists is seen: a part that is not empty takes at least one cell.
Line Bar(const v1::Stage& stage, int width) {
  const v1::OutcomeCounts& outcomes = stage.outcomes();
  struct Part {
    int64_t count;
    const char* glyph;
    const char* colour;
  };
  const Part parts[] = {{outcomes.confirmed(), "█", kGreen},
                        {outcomes.pending(), "▒", kYellow},
                        {Harmed(outcomes), "✗", kRed},
                        {outcomes.reverted(), "◂", kBlue}};
  int64_t total = std::max<int64_t>(stage.members(), 1);
  int64_t shown = 0;
  for (const Part& part : parts) shown += part.count;
  total = std::max(total, shown);
  Line bar = {{"["}};
  int left = width;
  for (const Part& part : parts) {
    if (part.count == 0) continue;
    const double exact = static_cast<double>(part.count) / static_cast<double>(total) * width;
    const int cells = std::min(left, std::max(1, static_cast<int>(std::floor(exact))));
    std::string text;
    for (int i = 0; i < cells; ++i) text += part.glyph;
    bar.push_back({text, part.colour});
    left -= cells;
  }
  // Rounding down must not leave a full ring with a gap.
  if (shown == total && left > 0 && bar.size() > 1) {
    const std::string glyph = bar[1].text.substr(0, 3);
    for (; left > 0; --left) bar[1].text += glyph;
  }
  bar.push_back({std::string(static_cast<size_t>(left), ' ')});
  bar.push_back({"]"});
  return bar;
}

std::string BrakeText(const v1::Brake& brake) {
  std::string what;
  const auto add = [&what](bool on, const char* word) {
    if (on) absl::StrAppend(&what, what.empty() ? "" : ", ", word);
  };
  add(brake.recalled(), "recalled");
  add(brake.halted(), "halted");
  add(brake.held(), "held");
  add(brake.vendor_paused(), "paused by the vendor");
  add(brake.tenant_paused(), "paused by the tenant");
  add(brake.reverting(), "exposed hosts ordered back");
  const v1::Scope& scope = brake.scope();
  std::string where = scope.tenant().empty() ? "every tenant" : scope.tenant();
  if (!scope.ring().empty()) absl::StrAppend(&where, "/", scope.ring());
  return absl::StrCat(what, " for ", where);
}

}  // namespace

int64_t Harmed(const v1::OutcomeCounts& outcomes) {
  return outcomes.crashed() + outcomes.failed() + outcomes.silent();
}

v1::OutcomeCounts Total(const v1::Rollout& rollout) {
  v1::OutcomeCounts total;
  for (const v1::Stage& stage : rollout.stages()) {
    const v1::OutcomeCounts& one = stage.outcomes();
    total.set_exposed(total.exposed() + one.exposed());
    total.set_pending(total.pending() + one.pending());
    total.set_confirmed(total.confirmed() + one.confirmed());
    total.set_crashed(total.crashed() + one.crashed());
    total.set_failed(total.failed() + one.failed());
    total.set_silent(total.silent() + one.silent());
    total.set_reverted(total.reverted() + one.reverted());
    total.set_refused(total.refused() + one.refused());
    total.set_unused(total.unused() + one.unused());
  }
  return total;
}

std::string Summary(const v1::Rollout& rollout, const std::string& tenant, const std::string& ring) {
  if (rollout.release().state() == v1::RELEASE_STATE_RECALLED) return "recalled";
  bool halted = false, held = false, paused = false;
  for (const v1::Brake& brake : rollout.brakes()) {
    const v1::Scope& scope = brake.scope();
    if (!tenant.empty() && !scope.tenant().empty() && scope.tenant() != tenant) continue;
    if (!ring.empty() && !scope.ring().empty() && scope.ring() != ring) continue;
    // A brake on one tenant is not the state of all.
    const bool whole = scope.tenant().empty() || !tenant.empty();
    halted |= whole && brake.halted();
    held |= whole && brake.held();
    paused |= whole && (brake.tenant_paused() || brake.vendor_paused());
  }
  int stages = 0, done = 0, open = 0;
  for (const v1::Stage& stage : rollout.stages()) {
    if (!Wanted(stage, tenant, ring)) continue;
    ++stages;
    switch (stage.state()) {
      case v1::STAGE_STATE_PASSED:
      case v1::STAGE_STATE_VACANT:
      case v1::STAGE_STATE_SUPERSEDED:
        ++done;
        break;
      case v1::STAGE_STATE_HALTED:
        halted = true;
        break;
      case v1::STAGE_STATE_HELD:
        held = true;
        break;
      case v1::STAGE_STATE_PAUSED:
        paused = true;
        break;
      case v1::STAGE_STATE_RECALLED:
        return "recalled";
      case v1::STAGE_STATE_OPEN:
        ++open;
        break;
      case v1::STAGE_STATE_WAITING:
      default:
        break;
    }
  }
  if (halted) return "halted";
  if (held) return "held";
  if (paused) return "paused";
  if (stages > 0 && done == stages) {
    const auto& to_come = rollout.rings_to_come();
    const bool more = tenant.empty() ? !to_come.empty() : to_come.contains(tenant);
    return ring.empty() && more ? "passed so far" : "passed";  // of one ring nothing else is to come
  }
  return open > 0 ? "open" : "waiting";
}

const char* ColourOf(const std::string& state) {
  if (state == "passed" || state == "passed so far" || state == "vacant") return kGreen;
  if (state == "halted" || state == "recalled") return kRed;
  if (state == "held" || state == "paused") return kYellow;
  if (state == "open") return kBlue;
  return kDim;
}

std::vector<Line> RenderRollout(const v1::Rollout& rollout, const ViewOptions& options) {
  std::vector<Line> lines;
  const v1::ReleaseManifest& manifest = rollout.release().manifest();
  const v1::Health& health = rollout.health();
  const std::string summary = Summary(rollout, options.tenant, options.ring);
  lines.push_back(
      {{absl::StrCat(manifest.channel(), "/", manifest.serial(), " ", Printable(manifest.version()), "  "),
        kBold},
       {summary, ColourOf(summary)},
       {absl::StrFormat(
           "  unproven %d of %d  healthy %d  evidence %.3g%s", health.unproven(), health.budget(),
           health.healthy(), health.m_r(),
           health.action().empty() || health.action() == "none" ? "" : ": " + health.action())}});
  size_t name_width = 8;
  for (const v1::Stage& stage : rollout.stages()) {
    if (Wanted(stage, options.tenant, options.ring)) {
      name_width = std::max(name_width, stage.tenant().size() + 1 + stage.ring().size());
    }
  }
  name_width = std::min<size_t>(name_width, 32);
  const int bar_width = std::clamp(options.columns - static_cast<int>(name_width) - 62, 8, 40);
  for (const v1::Stage& stage : rollout.stages()) {
    if (!Wanted(stage, options.tenant, options.ring)) continue;
    const std::string state = StateWord(stage.state());
    Line line = {
        {absl::StrCat("  ", Padded(absl::StrCat(stage.tenant(), "/", stage.ring()), name_width), " ")},
        {Padded(state, 10), ColourOf(state)},
        {stage.wave() > 0 ? absl::StrFormat(" wave %d/%d ", stage.wave(), stage.waves()) : "          "}};
    for (Span& span : Bar(stage, bar_width)) line.push_back(std::move(span));
    line.push_back({absl::StrFormat(" %4d/%-4d", stage.outcomes().exposed(), stage.members())});
    if (Harmed(stage.outcomes()) > 0)
      line.push_back({absl::StrCat("  ", Harmed(stage.outcomes()), " harmed"), kRed});
    if (stage.outcomes().reverted() > 0) {
      line.push_back({absl::StrCat("  ", stage.outcomes().reverted(), " back"), kBlue});
    }
    const absl::Duration soak = ToDuration(stage.soak());
    const absl::Duration soaked = std::min(soak, absl::Trunc(ToDuration(stage.soaked()), absl::Seconds(1)));
    if (stage.state() == v1::STAGE_STATE_OPEN && soak > absl::ZeroDuration()) {
      line.push_back({soaked == soak ? absl::StrCat("  soaked ", Human(soak))
                                     : absl::StrCat("  soaked ", Human(soaked), " of ", Human(soak))});
    } else if (!stage.rule().empty() && stage.state() != v1::STAGE_STATE_PASSED) {
      line.push_back({absl::StrCat("  ", Printable(stage.rule())), kDim});
    }
    lines.push_back(std::move(line));
  }
  for (const v1::Brake& brake : rollout.brakes()) {
    lines.push_back(
        {{"  brake  ", kBold}, {BrakeText(brake), kRed}, {absl::StrCat("  by ", Printable(brake.actor()))}});
    if (!brake.reason().empty()) {
      lines.push_back({{absl::StrCat("         ", brake.rule(), brake.rule().empty() ? "" : ": ",
                                     Printable(brake.reason()))}});
    }
    if (!brake.first_approver().empty()) {
      lines.push_back({{absl::StrCat("         ", Printable(brake.first_approver()),
                                     " wants to resume: a second person has to too")}});
    }
  }
  for (const std::string& cell : health.blocked_cells()) {
    lines.push_back(
        {{"  block  ", kBold}, {Printable(cell), kRed}, {"  kept from these hosts, which are ordered back"}});
  }
  if (!health.suspected_cell().empty()) {
    lines.push_back(
        {{"  cell   ", kBold}, {Printable(health.suspected_cell())}, {"  is what the evidence points at"}});
  }
  for (const v1::GateReading& gate : health.gates()) {
    if (!gate.breached() && !options.details) continue;
    lines.push_back({{"  gate   ", kBold},
                     {absl::StrCat(gate.gate(), gate.cohort().empty() ? "" : " ", Printable(gate.cohort())),
                      gate.breached() ? kRed : ""},
                     {absl::StrFormat("  %d bad of %d exposed", gate.bad(), gate.exposed())},
                     {gate.expected() > 0 ? absl::StrFormat(", %.1f expected", gate.expected()) : ""}});
  }
  const v1::Ledger& ledger = rollout.ledger();
  if (ledger.staging_failed() > 0) {
    lines.push_back(
        {{"  stage  ", kBold},
         {absl::StrCat(ledger.staging_failed(), " hosts could not fetch, verify or write it"), kYellow}});
  }
  if (options.details || ledger.harmed() > 0 || rollout.revert_outstanding() > 0) {
    std::string text =
        absl::StrFormat("exposed %d, harmed %d, saved %d", ledger.exposed(), ledger.harmed(), ledger.saved());
    if (ledger.has_first_harm_to_last_lease()) {
      absl::StrAppend(&text, ", first harm to last lease ",
                      Human(ToDuration(ledger.first_harm_to_last_lease())));
    }
    absl::StrAppend(&text, "; a push to everyone reaches ", ledger.reachable());
    lines.push_back({{"  ledger ", kBold}, {text}});
    if (rollout.revert_outstanding() > 0) {
      lines.push_back({{absl::StrCat("         ", rollout.revert_outstanding(),
                                     " hosts have not been heard on their old version yet"),
                        kYellow}});
    }
  }
  return lines;
}

std::string StageLine(const v1::Stage& stage) {
  const v1::OutcomeCounts& outcomes = stage.outcomes();
  std::string out = absl::StrCat(stage.tenant(), "/", stage.ring(), " ", StateWord(stage.state()));
  if (stage.wave() > 0) absl::StrAppend(&out, " wave ", stage.wave(), "/", stage.waves());
  absl::StrAppend(&out, ", ", outcomes.exposed(), " of ", stage.members(), " exposed, ", outcomes.confirmed(),
                  " confirmed");
  if (Harmed(outcomes) > 0) absl::StrAppend(&out, ", ", Harmed(outcomes), " harmed");
  if (outcomes.reverted() > 0) absl::StrAppend(&out, ", ", outcomes.reverted(), " back");
  if (!stage.why().empty() && stage.state() != v1::STAGE_STATE_PASSED)
    absl::StrAppend(&out, ": ", Printable(stage.why()));
  return out;
}

std::string ToText(const Line& line, int columns, bool colour) {
  std::string out;
  size_t left = static_cast<size_t>(std::max(columns, 1));
  for (const Span& span : line) {
    std::string text = span.text;
    if (Columns(text) > left) {
      size_t bytes = 0;
      for (size_t taken = 0; bytes < text.size(); ++bytes) {
        if ((static_cast<unsigned char>(text[bytes]) & 0xc0) != 0x80 && taken++ == left) break;
      }
      text.resize(bytes);
    }
    left -= Columns(text);
    out += colour && span.colour[0] != '\0' && !text.empty()
               ? absl::StrCat("\x1b[", span.colour, "m", text, "\x1b[0m")
               : text;
  }
  if (!colour) out.erase(out.find_last_not_of(' ') + 1);
  return out;
}

}  // namespace ringfence::cli
