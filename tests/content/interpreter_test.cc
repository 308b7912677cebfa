#include "ringfence/content/interpreter.h"

#include <gmock/gmock.h>

#include <new>

#include "tests/content/builders.h"
#include "tests/content/guarded_memory.h"

namespace ringfence::content {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Made of a file that is sound, by a sensor that supplies what the file declares.
struct Loaded {
  explicit Loaded(const Content& content)
      : file(Signed(content)),
        interpreter(std::get<Interpreter>(Interpreter::Make(
            std::get<Layout>(Validate(Bytes(file), WithKey())), SensorWith(content.fields)))) {}
  std::string file;
  Interpreter interpreter;
};

// Inputs whose last one lies right before a page that nobody may touch: a read of one more ends the process.
class GuardedInputs {
 public:
  explicit GuardedInputs(size_t count) : memory_(count * sizeof(Input)), count_(count) {
    for (size_t i = 0; i < count; ++i) {
      new (memory_.data() + i * sizeof(Input)) Input(Input::OfText("bad input"));
    }
  }
  std::span<const Input> span() {
    return {std::launder(reinterpret_cast<const Input*>(memory_.data())), count_};
  }

 private:
  GuardedMemory memory_;
  size_t count_;
};

TEST(InterpreterTest, FindsTheRulesThatHold) {
  Loaded loaded(SmallContent());
  const std::vector<Input> event = {Input::OfText("bad pipe"), Input::OfNumber(8)};
  EXPECT_THAT(loaded.interpreter.Run(event).matched, ElementsAre(0, 1));
  const std::vector<Input> other = {Input::OfText("a…é"), Input::OfNumber(7)};
  EXPECT_THAT(loaded.interpreter.Run(other).matched, ElementsAre(2));
  EXPECT_EQ(loaded.interpreter.disabled_rules(), 0u);
}

TEST(InterpreterTest, KnowsEveryOperation) {
  const std::vector<Field> fields = {{"t", FieldType::kText}, {"n", FieldType::kNumber}};
  const auto holds = [&](Op op, const char* text, int64_t number, uint16_t field) {
    Content content = ContentWith(fields);
    content.rules = {{"one", Action::kLog, {{field, op, text, number}}}};
    Loaded loaded(content);
    const std::vector<Input> event = {Input::OfText("abcabd"), Input::OfNumber(-5)};
    return !loaded.interpreter.Run(event).matched.empty();
  };
  const auto text = [&](Op op, const char* operand) { return holds(op, operand, 0, 0); };
  const auto number = [&](Op op, int64_t operand) { return holds(op, "", operand, 1); };
  EXPECT_TRUE(text(Op::kPresent, ""));
  EXPECT_TRUE(text(Op::kEquals, "abcabd") && !text(Op::kEquals, "abc") && !text(Op::kEquals, ""));
  EXPECT_TRUE(text(Op::kPrefix, "abc") && !text(Op::kPrefix, "abd"));
  EXPECT_TRUE(text(Op::kSuffix, "abd") && !text(Op::kSuffix, "abc"));
  EXPECT_TRUE(text(Op::kContains, "ca") && !text(Op::kContains, "cb"));
  EXPECT_TRUE(text(Op::kGlob, "ab*abd") && text(Op::kGlob, "*b*d*") && text(Op::kGlob, "*") &&
              text(Op::kGlob, "abcabd"));
  EXPECT_FALSE(text(Op::kGlob, "ab*abc") || text(Op::kGlob, "") || text(Op::kGlob, "b*") ||
               text(Op::kGlob, "abcabd?"));
  EXPECT_TRUE(number(Op::kIs, -5) && !number(Op::kIs, 5));
  EXPECT_TRUE(number(Op::kIsNot, 5) && !number(Op::kIsNot, -5));
  EXPECT_TRUE(number(Op::kBelow, -4) && !number(Op::kBelow, -5));
  EXPECT_TRUE(number(Op::kAbove, -6) && !number(Op::kAbove, -5));
}

TEST(InterpreterTest, WantsAllConditionsOfARule) {
  Content content = ContentWith(TextFields(2));
  content.rules = {{"both", Action::kLog, {{0, Op::kEquals, "x", 0}, {1, Op::kEquals, "y", 0}}}};
  Loaded loaded(content);
  const std::vector<Input> half = {Input::OfText("x"), Input::OfText("x")};
  const std::vector<Input> both = {Input::OfText("x"), Input::OfText("y")};
  EXPECT_THAT(loaded.interpreter.Run(half).matched, IsEmpty());
  EXPECT_THAT(loaded.interpreter.Run(both).matched, ElementsAre(0));
}

// The third gate, at load: it believes neither publish nor staging.
TEST(InterpreterTest, IsNotMadeForASensorThatSuppliesOneInputLess) {
  const std::string file = Signed(ContentWith(TextFields(21)));
  const Layout layout = std::get<Layout>(Validate(Bytes(file), Alone()));
  const auto made = Interpreter::Make(layout, SensorWith(TextFields(20)));
  ASSERT_TRUE(std::holds_alternative<Rejection>(made));
  EXPECT_EQ(std::get<Rejection>(made).code, Code::kSchemaMismatch);
}

// 2024-07-19, with all three gates wrong: the registered schema says 21, so publish, staging and load all
// believe it, and the code supplies 20. Only the rule on the 21st input is lost.
TEST(InterpreterTest, ReadsNothingBeyondTheInputsEvenIfEveryGateWasWrong) {
  Loaded loaded(ContentWith(TextFields(21)));
  GuardedInputs supplied(20);
  const Interpreter::Result result = loaded.interpreter.Run(supplied.span());
  EXPECT_EQ(result.matched.size(), 20u);
  EXPECT_EQ(result.newly_disabled, 1u);
  EXPECT_TRUE(loaded.interpreter.IsDisabled(20));
  EXPECT_EQ(loaded.interpreter.disabled_rules(), 1u);
}

TEST(InterpreterTest, TakesAnyNumberOfInputs) {
  for (size_t supplied = 0; supplied <= 25; ++supplied) {
    Loaded loaded(ContentWith(TextFields(21)));
    GuardedInputs inputs(supplied);
    EXPECT_EQ(loaded.interpreter.Run(inputs.span()).matched.size(), std::min<size_t>(supplied, 21));
    EXPECT_EQ(loaded.interpreter.disabled_rules(), 21 - std::min<size_t>(supplied, 21));
  }
}

// The tests of that day passed since a wildcard stood for the field that was not there.
TEST(InterpreterTest, MissesAnInputAlsoWhereAWildcardStandsForIt) {
  Content content = ContentWith(TextFields(21));
  content.rules = {{"wild", Action::kLog, {{20, Op::kPresent, "", 0}}}};
  Loaded loaded(content);
  EXPECT_THAT(loaded.interpreter.Run(GuardedInputs(20).span()).matched, IsEmpty());
  EXPECT_EQ(loaded.interpreter.disabled_rules(), 1u);
}

// The first condition does not hold, so the second would never be looked at: until the day on which it is.
TEST(InterpreterTest, MissesAnInputAlsoBehindAConditionThatDoesNotHold) {
  Content content = ContentWith(TextFields(21));
  content.rules = {{"late", Action::kLog, {{0, Op::kEquals, "no", 0}, {20, Op::kEquals, "x", 0}}}};
  Loaded loaded(content);
  loaded.interpreter.Run(GuardedInputs(20).span());
  EXPECT_EQ(loaded.interpreter.disabled_rules(), 1u);
}

TEST(InterpreterTest, KeepsARuleDisabledWhenALaterEventWouldHaveTheInput) {
  Loaded loaded(ContentWith(TextFields(2)));
  loaded.interpreter.Run(GuardedInputs(1).span());
  const Interpreter::Result later = loaded.interpreter.Run(GuardedInputs(2).span());
  EXPECT_THAT(later.matched, ElementsAre(0));
  EXPECT_EQ(later.newly_disabled, 0u);
}

TEST(InterpreterTest, DisablesARuleWhoseInputIsOfAnotherType) {
  Loaded loaded(SmallContent());
  const std::vector<Input> swapped = {Input::OfNumber(1), Input::OfText("bad")};
  EXPECT_THAT(loaded.interpreter.Run(swapped).matched, IsEmpty());
  EXPECT_EQ(loaded.interpreter.disabled_rules(), 3u);
}

TEST(InterpreterTest, RunsContentWithoutRules) {
  Content content = ContentWith(TextFields(1));
  content.rules.clear();
  Loaded loaded(content);
  EXPECT_THAT(loaded.interpreter.Run({}).matched, IsEmpty());
}

}  // namespace
}  // namespace ringfence::content
