#include "server/app/release_proof.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::app {
namespace {

constexpr char kNone[] = "-";

std::string NameOf(const policy::Release& release) {
  return absl::StrCat("release-proof/", release.channel, "/", release.serial);
}

}  // namespace

std::string PackProof(const storage::ReleaseProof& proof) {
  std::string text =
      absl::StrCat(proof.is_signed ? "signed" : "unsigned", " ", proof.qualified ? "proven" : "unproven", " ",
                   proof.signature.has_value() ? proof.signature->ToString() : kNone);
  for (const Digest& digest : proof.qualifications) absl::StrAppend(&text, " ", digest.ToString());
  return text;
}

absl::StatusOr<storage::ReleaseProof> UnpackProof(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  const bool sound = words.size() >= 3 && (words[0] == "signed" || words[0] == "unsigned") &&
                     (words[1] == "proven" || words[1] == "unproven");
  if (!sound) return absl::DataLossError(absl::StrCat("release proof: found ", text));
  storage::ReleaseProof proof;
  proof.is_signed = words[0] == "signed";
  proof.qualified = words[1] == "proven";
  if (words[2] != kNone) {
    ASSIGN_OR_RETURN(proof.signature, Digest::Parse(words[2]));
  }
  for (size_t i = 3; i < words.size(); ++i) {
    ASSIGN_OR_RETURN(proof.qualifications.emplace_back(), Digest::Parse(words[i]));
  }
  return proof;
}

absl::Status KeepProof(storage::Transaction& tx, const storage::ReleaseRow& row,
                       const PublishRequest& request) {
  if (!request.signature.empty())
    RETURN_IF_ERROR(tx.PutArtifactChunk(Sha256(request.signature), 0, request.signature));
  for (const std::string& document : request.qualifications)
    RETURN_IF_ERROR(tx.PutArtifactChunk(Sha256(document), 0, document));
  return tx.PutSetting(NameOf(row.release), PackProof(row.proof));
}

absl::Status ReadProof(storage::Transaction& tx, storage::ReleaseRow* row) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text, tx.Setting(NameOf(row->release)));
  row->proof = {};
  if (!text.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(row->proof, UnpackProof(*text));
  return absl::OkStatus();
}

}  // namespace ringfence::app
