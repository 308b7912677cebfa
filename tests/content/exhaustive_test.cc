// Every damage of a kind, on a small file. Each file lies right before a page that nobody may touch.
#include "tests/content/builders.h"
#include "tests/content/guarded_memory.h"
#include "tests/content/repair.h"

namespace ringfence::content {
namespace {

std::variant<Layout, Rejection> ValidateGuarded(GuardedMemory* memory, const std::string& file,
                                                const Checks& checks) {
  uint8_t* start = memory->data() + memory->size() - file.size();
  std::copy(file.begin(), file.end(), start);
  return Validate({start, file.size()}, checks);
}

// A file that is accepted says exactly what its bytes say, and there is no second spelling of it. Later minor
// versions are the one exception: a builder of today writes 0.
void ExpectSoleSpelling(const Layout& layout, const std::string& file, const std::string& what) {
  const auto again = Build(Describe(layout), nullptr, std::nullopt);
  ASSERT_TRUE(again.ok()) << what << ": " << again.status();
  std::string without = file;
  SetNumber(&without, header::kMinorAt, 0, 2);
  without.replace(without.size() - kTrailerBytes + trailer::kKeyIdAt, 72, std::string(72, '\0'));
  Repair(&without, nullptr);
  ASSERT_EQ(*again, without) << what;
}

TEST(ExhaustiveTest, EveryTruncationIsRefused) {
  const std::string file = Signed(SmallContent());
  GuardedMemory memory(file.size());
  for (size_t size = 0; size < file.size(); ++size) {
    const auto code = CodeOf(ValidateGuarded(&memory, file.substr(0, size), WithKey()));
    EXPECT_EQ(code, size < kMinFileBytes ? Code::kTooShort : Code::kLength) << size;
  }
}

// Cut, and then made to look as if it had always been so short.
TEST(ExhaustiveTest, EveryRepairedTruncationIsRefused) {
  const std::string file = Signed(SmallContent());
  GuardedMemory memory(file.size());
  for (size_t cut = 1; cut <= file.size() - kMinFileBytes; ++cut) {
    std::string shorter =
        file.substr(0, file.size() - kTrailerBytes - cut) + file.substr(file.size() - kTrailerBytes);
    SetNumber(&shorter, header::kTotalLenAt, shorter.size(), 8);
    Repair(&shorter, &TestKey());
    EXPECT_EQ(CodeOf(ValidateGuarded(&memory, shorter, WithKey())), Code::kBadLayout) << cut;
  }
}

TEST(ExhaustiveTest, EveryBitFlipIsRefused) {
  std::string file = Signed(SmallContent());
  GuardedMemory memory(file.size());
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    const auto flip = [&] { file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8); };
    flip();
    EXPECT_TRUE(CodeOf(ValidateGuarded(&memory, file, WithKey())).has_value()) << "bit " << bit;
    flip();
  }
}

TEST(ExhaustiveTest, EveryOtherValueOfEveryByteIsRefused) {
  std::string file = Signed(SmallContent());
  GuardedMemory memory(file.size());
  for (size_t at = 0; at < file.size(); ++at) {
    const char was = file[at];
    for (int value = 1; value < 256; ++value) {
      file[at] = static_cast<char>(was ^ value);
      ASSERT_TRUE(CodeOf(ValidateGuarded(&memory, file, WithKey())).has_value()) << "byte " << at;
    }
    file[at] = was;
  }
}

TEST(ExhaustiveTest, EveryRunOfEightZerosIsRefused) {
  const std::string file = Signed(SmallContent());
  GuardedMemory memory(file.size());
  for (size_t at = 0; at + 8 <= file.size(); ++at) {
    std::string zeroed = file;
    zeroed.replace(at, 8, 8, '\0');
    if (zeroed == file) continue;
    EXPECT_TRUE(CodeOf(ValidateGuarded(&memory, zeroed, WithKey())).has_value()) << "byte " << at;
  }
}

// The same damage by somebody who can compute checksums: now the checks behind them have to hold. Whatever
// they let pass is another sound file.
TEST(ExhaustiveTest, EveryRepairedByteIsRefusedOrTheSoleSpellingOfWhatItSays) {
  const std::string file = Signed(SmallContent());
  GuardedMemory memory(file.size());
  int accepted = 0, refused = 0;
  for (size_t at = 0; at < file.size() - kTrailerBytes; ++at) {
    for (int value = 1; value < 256; ++value) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ value);
      Repair(&changed, nullptr);
      const auto result = ValidateGuarded(&memory, changed, Alone());
      if (const Layout* layout = std::get_if<Layout>(&result)) {
        // Digests that Repair put back are the file itself again.
        ++accepted;
        ASSERT_NO_FATAL_FAILURE(
            ExpectSoleSpelling(*layout, changed, absl::StrCat("byte ", at, " ^ ", value)));
      } else {
        ++refused;
        ASSERT_FALSE(std::get<Rejection>(result).field.empty());
      }
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace ringfence::content
