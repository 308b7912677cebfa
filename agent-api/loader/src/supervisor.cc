#include "ringfence/loader/supervisor.h"

#include "absl/strings/str_cat.h"

namespace ringfence::loader {

int Supervise(Slots* slots, ChildRunner* runner, const std::function<void(const std::string&)>& log) {
  for (int built_in_failed = 0; built_in_failed < kMaxStarts;) {
    const Start start = slots->NextStart();
    for (const std::string& note : start.notes) log(note);
    log(absl::StrCat(
        "starts ", Name(start.slot),
        start.slot == Slot::kBuiltIn ? "" : absl::StrCat(" ", start.digest.ToString().substr(0, 12))));
    bool proven = false;
    const auto prove = [&] {
      proven = true;
      const absl::Status marked = slots->MarkHealthy(start.digest);
      log(marked.ok() ? "has proven itself"
                      : absl::StrCat("cannot write that it has proven itself: ", marked.message()));
    };
    const ChildEnd end = runner->Run(start, prove, [&] { return slots->IsSuperseded(start); });
    if (end.superseded) {
      log("ended for what is to be started next");
      continue;
    }
    if (end.orderly) {
      if (!proven) {
        const absl::Status marked = slots->MarkOrderlyEnd();
        if (!marked.ok()) log(absl::StrCat("cannot write the orderly end: ", marked.message()));
      }
      return 0;
    }
    log(absl::StrCat("the sensor failed: ", end.how));
    if (start.slot == Slot::kBuiltIn) ++built_in_failed;
  }
  log("even the built-in content failed: the fault is not in the content");
  return 1;
}

}  // namespace ringfence::loader
