#include "ringfence/loader/slots.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/content/layout.h"
#include "ringfence/content/model.h"

namespace ringfence::loader {
namespace {

constexpr int kMode = 0600;

std::string Short(const Digest& digest) {
  return digest.ToString().substr(0, 12);
}

Slot Other(Slot slot) {
  return slot == Slot::kA ? Slot::kB : Slot::kA;
}

void Quarantine(const Digest& digest, Record* record) {
  if (digest.IsZero() || record->IsQuarantined(digest)) return;
  if (record->quarantine.size() == kMaxQuarantined) record->quarantine.erase(record->quarantine.begin());
  record->quarantine.push_back(digest);
}

// What failed is left for the last good one, if that is another one that may be started.
void FallBack(Record* record) {
  const Slot to = record->last_good;
  const Digest& digest = record->DigestOf(to);
  const bool usable = to != record->active && !digest.IsZero() && !record->IsQuarantined(digest);
  record->active = usable ? to : Slot::kBuiltIn;
  record->last_good = Slot::kBuiltIn;
  record->healthy = record->active == Slot::kBuiltIn;
  record->starts = 0;
}

}  // namespace

std::string BuiltInContent(const content::SensorSchema& sensor) {
  content::Content content;
  content.channel = "built-in";
  content.version = sensor.sensor.ToString();
  content.serial = 1;
  content.schema_id = sensor.schema_id;
  content.sensor_min = content.sensor_max = sensor.sensor;
  content.fields = sensor.fields;
  absl::StatusOr<std::string> file = content::Build(content, nullptr, std::span(&sensor, 1));
  RF_CHECK(file.ok());
  return *std::move(file);
}

// Between two processes. Without the lock file, which a full disk can refuse, it goes on alone: to start
// something matters more.
class Slots::Turn {
 public:
  explicit Turn(Slots* slots) {
    if (!slots->options_.shared) return;
    fd_ = ::open((slots->options_.folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kMode);
    while (fd_ >= 0 && ::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
    std::vector<std::string> ignored;
    slots->ReadRecords(&ignored);
  }
  ~Turn() {
    if (fd_ >= 0) ::close(fd_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  int fd_ = -1;
};

Slots::Slots(agent::FileSystem* files, SlotsOptions options) : files_(files), options_(std::move(options)) {
  if (!ReadRecords(&notes_)) Salvage();
}

bool Slots::ReadRecords(std::vector<std::string>* notes) {
  bool whole = false;
  for (const char* name : {"/record.0", "/record.1"}) {
    const absl::StatusOr<std::string> bytes = files_->Read(options_.folder + name);
    if (absl::IsNotFound(bytes.status())) continue;
    absl::StatusOr<Record> record = bytes.ok() ? DecodeRecord(*bytes) : bytes.status();
    if (!record.ok()) {
      notes->push_back(absl::StrCat(name + 1, ": ", record.status().message(), "; the other copy counts"));
      continue;
    }
    whole = true;
    if (record->generation > record_.generation) record_ = *std::move(record);
  }
  return whole;
}

// Without a record: what is sound in the slots. The older one first, it is the likelier to have proven
// itself.
void Slots::Salvage() {
  std::vector<std::pair<uint64_t, Slot>> sound;
  for (const Slot slot : {Slot::kA, Slot::kB}) {
    const absl::StatusOr<std::string> bytes = files_->Read(PathOf(slot));
    if (!bytes.ok() || !Validate(*bytes).ok()) continue;
    record_.slots[static_cast<size_t>(slot) - 1] = Sha256(*bytes);
    const auto layout = content::Validate({reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()},
                                          {.build_keys = std::nullopt, .sensors = std::nullopt});
    sound.emplace_back(std::get<content::Layout>(layout).serial(), slot);
  }
  if (sound.empty()) return;
  std::sort(sound.begin(), sound.end());
  record_.active = sound.front().second;
  record_.last_good = sound.back().second;
  record_.healthy = false;
  notes_.push_back(absl::StrCat("no whole record: starts with slot ", Name(record_.active), ", serial ",
                                sound.front().first));
}

std::string Slots::PathOf(Slot slot) const {
  return absl::StrCat(options_.folder, "/slot.", Name(slot));
}

absl::Status Slots::Replace(const std::string& path, absl::string_view bytes) {
  const std::string draft = path + ".draft";
  RETURN_IF_ERROR(files_->Write(draft, bytes, kMode));
  RETURN_IF_ERROR(files_->Sync(draft));
  RETURN_IF_ERROR(files_->Rename(draft, path));
  return files_->SyncFolder(options_.folder);
}

// The copy that is replaced is the older one; until it is whole the newer one stands.
absl::Status Slots::Commit(Record next) {
  next.generation = record_.generation + 1;
  RETURN_IF_ERROR(
      Replace(absl::StrCat(options_.folder, "/record.", next.generation % 2), EncodeRecord(next)));
  record_ = std::move(next);
  return absl::OkStatus();
}

absl::Status Slots::Validate(absl::string_view bytes) const {
  content::Checks checks;
  checks.build_keys = std::nullopt;
  if (options_.build_keys.has_value())
    checks.build_keys = std::span<const trust::PublicKey>(*options_.build_keys);
  checks.sensors = std::span(&options_.sensor, 1);
  const auto validated =
      content::Validate({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, checks);
  if (const auto* rejection = std::get_if<content::Rejection>(&validated))
    return content::ToStatus(*rejection);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Slots::Open(const Record& record, Slot slot) const {
  absl::StatusOr<std::string> bytes = files_->Read(PathOf(slot));
  if (!bytes.ok()) return absl::DataLossError(bytes.status().message());
  if (Sha256(*bytes) != record.DigestOf(slot)) {
    return absl::DataLossError(absl::StrCat("slot ", Name(slot), " holds other bytes than the record says"));
  }
  RETURN_IF_ERROR(Validate(*bytes));
  return bytes;
}

Start Slots::BuiltIn(std::vector<std::string> notes) const {
  return {Slot::kBuiltIn, Digest{}, BuiltInContent(options_.sensor), std::move(notes), record_.generation};
}

// The count cannot be written, so nothing may be started that could crash uncounted.
Start Slots::StartProven(std::vector<std::string> notes) const {
  std::vector<Slot> proven;
  if (record_.healthy) proven.push_back(record_.active);
  proven.push_back(record_.last_good);
  for (const Slot slot : proven) {
    if (slot == Slot::kBuiltIn || record_.IsQuarantined(record_.DigestOf(slot))) continue;
    absl::StatusOr<std::string> bytes = Open(record_, slot);
    if (bytes.ok())
      return {slot, record_.DigestOf(slot), *std::move(bytes), std::move(notes), record_.generation};
    notes.push_back(std::string(bytes.status().message()));
  }
  return BuiltIn(std::move(notes));
}

Start Slots::NextStart() {
  const Turn turn(this);
  std::vector<std::string> notes = notes_;
  for (Record next = record_;; next = record_) {
    if (next.active == Slot::kBuiltIn) return BuiltIn(std::move(notes));
    if (next.starts >= kMaxStarts) {
      const Digest failed = next.DigestOf(next.active);
      Quarantine(failed, &next);
      FallBack(&next);
      notes.push_back(absl::StrCat(Short(failed), " was started ", kMaxStarts,
                                   " times and never proved itself: ", "quarantined, back to ",
                                   Name(next.active)));
    } else {
      ++next.starts;
    }
    const bool goes_back = next.starts == 0;
    if (const absl::Status written = Commit(next); !written.ok()) {
      notes.push_back(
          absl::StrCat("cannot count this start, so only proven content is started: ", written.message()));
      return StartProven(std::move(notes));
    }
    if (goes_back) continue;
    absl::StatusOr<std::string> bytes = Open(record_, record_.active);
    if (bytes.ok())
      return {record_.active, record_.DigestOf(record_.active), *std::move(bytes), std::move(notes),
              record_.generation};
    next = record_;
    notes.push_back(
        absl::StrCat(Short(next.DigestOf(next.active)), " cannot be started: ", bytes.status().message()));
    if (!absl::IsDataLoss(bytes.status())) Quarantine(next.DigestOf(next.active), &next);
    FallBack(&next);
    if (const absl::Status written = Commit(next); !written.ok()) {
      notes.push_back(std::string(written.message()));
      return StartProven(std::move(notes));
    }
  }
}

absl::Status Slots::MarkHealthy(const std::optional<Digest>& only) {
  const Turn turn(this);
  if (only.has_value() && record_.DigestOf(record_.active) != *only) return absl::OkStatus();
  if (record_.active == Slot::kBuiltIn || (record_.healthy && record_.starts == 0)) return absl::OkStatus();
  Record next = record_;
  next.healthy = true;
  next.starts = 0;
  return Commit(std::move(next));
}

absl::Status Slots::MarkOrderlyEnd() {
  const Turn turn(this);
  if (record_.starts == 0) return absl::OkStatus();
  Record next = record_;
  --next.starts;
  return Commit(std::move(next));
}

absl::StatusOr<Digest> Slots::Stage(absl::string_view bytes) {
  const Turn turn(this);
  RETURN_IF_ERROR(Validate(bytes));
  const Digest digest = Sha256(bytes);
  if (record_.IsQuarantined(digest)) {
    return absl::FailedPreconditionError(
        absl::StrCat(Short(digest), " failed on this host before: quarantined"));
  }
  const Slot to = Other(record_.active);
  if (record_.DigestOf(to) == digest && Open(record_, to).ok()) return digest;
  if (!record_.healthy) {
    return absl::FailedPreconditionError(
        "what runs has not proven itself yet: the other slot is what to fall back to");
  }
  // First nothing points to the slot, then its bytes change, then the record names them.
  Record next = record_;
  next.last_good = next.active;
  next.slots[static_cast<size_t>(to) - 1] = Digest{};
  RETURN_IF_ERROR(Commit(next));
  RETURN_IF_ERROR(Replace(PathOf(to), bytes));
  next.slots[static_cast<size_t>(to) - 1] = digest;
  RETURN_IF_ERROR(Commit(next));
  return digest;
}

bool Slots::IsSuperseded(const Start& start) {
  const Turn turn(this);
  return record_.generation > start.generation && record_.starts == 0 && !record_.healthy &&
         record_.active != Slot::kBuiltIn && record_.DigestOf(record_.active) != start.digest;
}

absl::Status Slots::Withdraw(const Digest& digest) {
  const Turn turn(this);
  if (record_.healthy || record_.starts > 0 || record_.active == Slot::kBuiltIn ||
      record_.DigestOf(record_.active) != digest)
    return absl::FailedPreconditionError(
        absl::StrCat(Short(digest), " is being started, or does not wait to be"));
  Record next = record_;
  FallBack(&next);
  // A flip made it the last good one because it had proven itself.
  next.healthy = true;
  return Commit(std::move(next));
}

absl::Status Slots::Flip(const Digest& digest) {
  const Turn turn(this);
  if (digest == record_.DigestOf(record_.active) && record_.active != Slot::kBuiltIn) return absl::OkStatus();
  const Slot to = Other(record_.active);
  if (digest.IsZero() || record_.DigestOf(to) != digest || record_.IsQuarantined(digest)) {
    return absl::FailedPreconditionError(absl::StrCat(Short(digest), " is not staged"));
  }
  Record next = record_;
  next.last_good =
      record_.healthy ? record_.active : Slot::kBuiltIn;  // what never proved itself is no refuge
  next.active = to;
  next.healthy = false;
  next.starts = 0;
  return Commit(std::move(next));
}

}  // namespace ringfence::loader
