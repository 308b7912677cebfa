#include "ringfence/trust/halt_book.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "members.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"

namespace ringfence::trust {

bool HaltBook::Add(const HaltNotice& notice) {
  seq_ = std::max(seq_, notice.seq);
  const auto lifted = lifted_.find(notice.scope);
  if (lifted != lifted_.end() && notice.seq <= lifted->second) return false;
  const auto [known, added] = halts_.try_emplace(notice.scope, notice);
  if (added) return true;
  if (notice.seq <= known->second.seq) return false;
  known->second = notice;
  return true;
}

bool HaltBook::Lift(const ResumeOrder& order) {
  const auto known = halts_.find(order.scope);
  if (known == halts_.end() || known->second.seq > order.halt_seq) return false;
  halts_.erase(known);
  uint64_t& lifted = lifted_[order.scope];
  lifted = std::max(lifted, order.halt_seq);
  return true;
}

const HaltNotice* HaltBook::On(const Digest& digest, absl::string_view tenant,
                               const std::optional<std::string>& ring) const {
  for (const auto& [scope, notice] : halts_) {
    if (!scope.tenant.empty() && scope.tenant != tenant) continue;
    if (!scope.ring.empty() && ring.has_value() && scope.ring != *ring) continue;
    const bool named =
        std::find(notice.artifacts.begin(), notice.artifacts.end(), digest) != notice.artifacts.end();
    if (named || scope.sha256 == digest) return &notice;
  }
  return nullptr;
}

std::string HaltBook::Serialize() const {
  nlohmann::json halts = nlohmann::json::array(), lifted = nlohmann::json::array();
  for (const auto& [scope, notice] : halts_) {
    nlohmann::json artifacts = nlohmann::json::array();
    for (const Digest& bytes : notice.artifacts) artifacts.push_back(bytes.ToString());
    halts.push_back({{"artifacts", std::move(artifacts)},
                     {"sha256", scope.sha256.ToString()},
                     {"tenant", scope.tenant},
                     {"ring", scope.ring},
                     {"halt_id", notice.halt_id},
                     {"seq", notice.seq},
                     {"channel", notice.channel},
                     {"serial", notice.serial},
                     {"reason", notice.reason},
                     {"by", notice.by},
                     {"issued_at", TimeText(notice.issued_at)}});
  }
  for (const auto& [scope, seq] : lifted_)
    lifted.push_back(
        {{"sha256", scope.sha256.ToString()}, {"tenant", scope.tenant}, {"ring", scope.ring}, {"seq", seq}});
  return tuf::CanonicalJson({{"halts", std::move(halts)}, {"lifted", std::move(lifted)}, {"seq", seq_}});
}

absl::StatusOr<HaltBook> HaltBook::Parse(absl::string_view bytes) {
  const absl::StatusOr<nlohmann::json> parsed = ParseStrictJson(bytes, kMaxHaltBookBytes);
  if (!parsed.ok()) return absl::DataLossError(parsed.status().message());
  HaltBook book;
  Members all(*parsed);
  book.seq_ = all.Unsigned("seq", 0);
  for (const char* list : {"halts", "lifted"}) {
    if (!all.status().ok()) break;
    const auto found = parsed->find(list);
    if (found == parsed->end() || !found->is_array()) {
      all.Fault(list, "a list");
      break;
    }
    for (const nlohmann::json& item : *found) {
      Members in(item);
      HaltNotice notice;
      notice.scope.sha256 = in.Sha256("sha256");
      notice.scope.tenant = in.Slug("tenant", /*may_be_empty=*/true);
      notice.scope.ring = in.Slug("ring", /*may_be_empty=*/true);
      notice.seq = in.Unsigned("seq", 1);
      if (list[0] == 'h') {
        notice.artifacts = in.Sha256s("artifacts", kMostArtifacts);
        notice.halt_id = in.HexName("halt_id", 16);
        notice.channel = in.Slug("channel");
        notice.serial = in.Unsigned("serial", 1);
        notice.reason = in.Text("reason", 0, 512);
        notice.by = in.Text("by", 0, 128);
        notice.issued_at = in.Time("issued_at");
      }
      if (!in.status().ok()) return absl::DataLossError(absl::StrCat(list, ": ", in.status().message()));
      if (list[0] == 'h') {
        book.halts_[notice.scope] = notice;
      } else {
        book.lifted_[notice.scope] = notice.seq;
      }
    }
  }
  if (!all.status().ok()) return absl::DataLossError(all.status().message());
  return book;
}

}  // namespace ringfence::trust
