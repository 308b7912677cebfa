// TUF 1.0 metadata as values. A parser believes nothing: whether a document is to be trusted is decided by
// TrustedSet.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/tuf/key.h"

namespace ringfence::tuf {

inline constexpr char kRoot[] = "root";
inline constexpr char kTimestamp[] = "timestamp";
inline constexpr char kSnapshot[] = "snapshot";
inline constexpr char kTargets[] = "targets";

// How many bytes of each are ever read.
inline constexpr size_t kMaxRootBytes = 512 << 10;
inline constexpr size_t kMaxTimestampBytes = 16 << 10;
inline constexpr size_t kMaxSnapshotBytes = 2 << 20;
inline constexpr size_t kMaxTargetsBytes = 5 << 20;
inline constexpr size_t kMaxSignatures = 64;
// How many keys a role may list, and a document may hold: each costs the verification of a signature.
inline constexpr size_t kMaxRoleKeys = 64;
inline constexpr size_t kMaxKeys = 1024;

struct Role {
  std::vector<std::string> key_ids;  // each once
  int threshold = 1;                 // at least 1
};

struct SignatureEntry {
  std::string key_id;
  std::string bytes;  // empty if it was no hex; it then just does not verify
};

// What the file that is listed has to be.
struct FileInfo {
  int64_t version = 0;            // of metadata
  std::optional<int64_t> length;  // in bytes
  // Algorithm to lower-case hex; may be empty in the case of metadata. Others than sha256 and sha512 are
  // kept, and do not count.
  std::map<std::string, std::string> hashes;
};

// Ok if the bytes have the length, and all the known hashes. kDigestMismatch otherwise, also if there are
// hashes and all of them are unknown; `what` is the role or target of the Failure.
absl::Status CheckBytes(const FileInfo& info, absl::string_view bytes, absl::string_view what);

struct Common {
  int64_t version = 0;  // at least 1
  absl::Time expires;
  // Members that this library does not know, as canonical JSON, by name: "x-ringfence-throwaway" -> "true".
  std::map<std::string, std::string> others;
};

struct Root : Common {
  bool consistent_snapshot = false;
  std::map<std::string, Key> keys;
  std::map<std::string, Role> roles;  // the four, and no others
};

struct Timestamp : Common {
  FileInfo snapshot;
};

struct Snapshot : Common {
  std::map<std::string, FileInfo> meta;  // by "ROLE.json"
};

struct TargetFile {
  std::string path;
  FileInfo info;       // with a length, and at least one hash
  std::string custom;  // canonical JSON; empty: none
};

// Paths may be given by patterns in which * and ? stay within one folder, or by how the sha256 of the path
// begins; not both.
struct Delegation {
  std::string name;
  Role role;
  bool terminating = false;
  std::vector<std::string> paths;
  std::vector<std::string> path_hash_prefixes;  // lower-case hex
};

// Paths spread evenly over 2^bit_length roles with the same keys (TAP 15).
struct SuccinctRoles {
  std::string name_prefix;
  int bit_length = 1;  // 1 to 32
  Role role;
};

struct Targets : Common {
  std::map<std::string, TargetFile> targets;  // by path
  std::map<std::string, Key> keys;            // of the delegations
  std::vector<Delegation> delegations;        // in order of appearance: the earlier is asked first
  std::optional<SuccinctRoles> succinct;      // then `delegations` is empty
};

// A document with what was signed and by whom it says it was.
template <typename T>
struct Document {
  T body;
  std::string signed_bytes;  // canonical JSON of the whole of "signed", unknown members included
  std::vector<SignatureEntry> signatures;
};

// Strict JSON (ParseStrictJson); members that are not known are kept in what was signed, and otherwise
// ignored. kLimitExceeded above the limits, kMalformed otherwise, naming the member; both say `role`. A key
// id twice among signatures or in a role is kMalformed, and so is a delegation to a role with the name of one
// of the four, an expiry that is no "2026-11-22T04:09:00Z", or another major spec_version than 1.
absl::StatusOr<Document<Root>> ParseRoot(absl::string_view bytes);
absl::StatusOr<Document<Timestamp>> ParseTimestamp(absl::string_view bytes);
absl::StatusOr<Document<Snapshot>> ParseSnapshot(absl::string_view bytes);
absl::StatusOr<Document<Targets>> ParseTargets(absl::string_view role, absl::string_view bytes);

// Does the delegation cover this path?
bool Covers(const Delegation& delegation, absl::string_view path);
// Does a path match a pattern? Case counts; both have to have the same number of folders.
bool MatchesPattern(absl::string_view path, absl::string_view pattern);
// The one succinct role that a path belongs to.
std::string RoleFor(const SuccinctRoles& roles, absl::string_view path);
// Is it one of the roles of `roles`?
bool IsRoleOf(const SuccinctRoles& roles, absl::string_view name);

// How many different keys, by identity, of those `role` lists in `keys` signed the document.
int CountSigners(const Role& role, const std::map<std::string, Key>& keys, absl::string_view signed_bytes,
                 const std::vector<SignatureEntry>& signatures);

// "2026-11-22T04:09:00Z", the only spelling of a time in metadata.
absl::StatusOr<absl::Time> ParseTimeText(absl::string_view text);
std::string TimeText(absl::Time time);

// A role or a target's path as part of a URL, and as the name of a file: letters, digits and -._~ are kept,
// everything else becomes %XX. Never a path of its own.
std::string Quote(absl::string_view name);

}  // namespace ringfence::tuf
