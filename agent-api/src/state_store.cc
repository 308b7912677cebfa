#include "ringfence/agent/state_store.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::agent {
namespace {

constexpr char kMagic[] = "ringfence-agent-state/1";
constexpr uint64_t kSeqJump = 1000;  // more events than one copy can be behind the other
constexpr int kOwnerOnly = 0600;     // the file holds the agent's secret

Digest Checksum(uint64_t generation, absl::string_view json) {
  return Sha256(HashInput().U64(generation).String(json).bytes());
}

// "ringfence-agent-state/1 GENERATION SHA256\n" and the JSON.
std::string Seal(uint64_t generation, absl::string_view json) {
  return absl::StrCat(kMagic, " ", generation, " ", Checksum(generation, json).ToString(), "\n", json);
}

struct Copy {
  uint64_t generation = 0;
  Durable durable;
};

absl::StatusOr<Copy> Unseal(absl::string_view bytes) {
  const size_t end = bytes.find('\n');
  if (end == absl::string_view::npos) return absl::DataLossError("no first line");
  const std::vector<absl::string_view> words = absl::StrSplit(bytes.substr(0, end), ' ');
  const absl::string_view json = bytes.substr(end + 1);
  Copy copy;
  if (words.size() != 3 || words[0] != kMagic || !absl::SimpleAtoi(words[1], &copy.generation)) {
    return absl::DataLossError("not an agent's state");
  }
  if (Checksum(copy.generation, json).ToString() != words[2])
    return absl::DataLossError("checksum does not match");
  ASSIGN_OR_RETURN(copy.durable, DecodeDurable(json));
  return copy;
}

}  // namespace

StateStore::StateStore(FileSystem* files, std::string folder) : files_(files), folder_(std::move(folder)) {}

std::string StateStore::PathOf(uint64_t generation) const {
  return absl::StrCat(folder_, "/state.", generation % 2, ".json");
}

absl::StatusOr<Durable> StateStore::Load() {
  std::optional<Copy> best;
  std::string damage;
  for (const uint64_t parity : {0, 1}) {
    absl::StatusOr<std::string> bytes = files_->Read(PathOf(parity));
    if (absl::IsNotFound(bytes.status())) continue;
    absl::StatusOr<Copy> copy = bytes.ok() ? Unseal(*bytes) : absl::StatusOr<Copy>(bytes.status());
    if (!copy.ok()) {
      absl::StrAppend(&damage, damage.empty() ? "" : "; ", PathOf(parity), ": ", copy.status().message());
    } else if (!best || copy->generation > best->generation) {
      best = *std::move(copy);
    }
  }
  if (!best && damage.empty()) return absl::NotFoundError(absl::StrCat("no state in ", folder_));
  if (!best) {
    return absl::DataLossError(
        absl::StrCat(damage, ". Restore a copy, or remove both to enrol as a new agent"));
  }
  generation_ = best->generation;
  if (!damage.empty()) best->durable.next_seq += kSeqJump;
  return std::move(best->durable);
}

absl::Status StateStore::Save(const Durable& durable) {
  const uint64_t next = generation_ + 1;
  const std::string path = PathOf(next);
  const std::string draft = path + ".tmp";
  RETURN_IF_ERROR(files_->Write(draft, Seal(next, EncodeDurable(durable)), kOwnerOnly));
  RETURN_IF_ERROR(files_->Sync(draft));
  RETURN_IF_ERROR(files_->Rename(draft, path));
  RETURN_IF_ERROR(files_->SyncFolder(folder_));
  generation_ = next;
  return absl::OkStatus();
}

}  // namespace ringfence::agent
