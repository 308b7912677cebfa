// ringfence rollout evidence: the wealth of the test over time, in the terminal and as a picture.
#include <fstream>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/record/wealth.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMostCells = 5;
constexpr int kRows = 16;

policy::HealthChannel ChannelNamed(const std::string& name) {
  for (int i = 0; i < policy::kHealthChannels; ++i) {
    const auto channel = static_cast<policy::HealthChannel>(i);
    if (name == policy::Name(channel)) return channel;
  }
  return policy::HealthChannel::kGauge;  // one that this program does not know: without effect at pi = 0
}

record::WealthRecord ToWealth(const v1::EvidenceRecord& in) {
  record::WealthRecord out;
  out.at = absl::FromUnixSeconds(in.at().seconds()) + absl::Nanoseconds(in.at().nanos());
  out.late = in.late();
  for (const v1::EvidenceEvent& event : in.events()) {
    out.events.push_back({ChannelNamed(event.channel()),
                          event.treated(),
                          event.pi(),
                          event.x(),
                          event.c(),
                          {event.cells().begin(), event.cells().end()}});
  }
  return out;
}

}  // namespace

int RolloutEvidence(Context& context, const RolloutOptions& options) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  v1::ListEvidenceRequest request;
  v1::ListEvidenceResponse all;
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  request.set_page_size(1000);
  do {
    v1::ListEvidenceResponse page;
    const absl::Status status = context.remote().Call("RolloutService/ListEvidence", request, &page);
    if (!status.ok()) return context.Fail(status);
    request.set_serial(page.serial());
    request.set_page_token(page.next_page_token());
    page.clear_next_page_token();
    const auto records = all.records();
    all = page;
    *all.mutable_records() = records;
    all.mutable_records()->MergeFrom(page.records());
  } while (!request.page_token().empty());
  if (!context.table()) {
    context.Print(all);
    return kOk;
  }
  std::vector<record::WealthRecord> records;
  for (const v1::EvidenceRecord& one : all.records()) records.push_back(ToWealth(one));
  const record::Wealth wealth =
      record::WealthOf(records, std::max<int64_t>(1, all.k_max()), all.rho0(),
                       {all.blocked_cells().begin(), all.blocked_cells().end()}, kMostCells);
  const std::string title = absl::StrCat(name->channel, "/", all.serial());
  if (!options.svg.empty()) {
    std::ofstream file(options.svg);
    file << record::ToSvg(wealth, absl::StrCat("Evidence against ", title));
    if (!file.flush())
      return context.Fail(absl::InvalidArgumentError(absl::StrCat("cannot write ", options.svg)));
    context.out() << "wrote " << options.svg << "\n";
    return kOk;
  }
  context.out() << title << "\n" << record::ToText(wealth, context.world().columns, kRows);
  for (const std::string& cell : all.blocked_cells()) context.out() << "          blocked: " << cell << "\n";
  return kOk;
}

}  // namespace ringfence::cli
