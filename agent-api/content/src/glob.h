// Patterns in which '*' stands for any run of bytes and everything else for itself.
#pragma once

#include "absl/strings/string_view.h"

namespace ringfence::content {

// Of the whole text. No recursion and no memory; at most pattern times text steps: when something does not
// fit, only the last star is tried again one byte further on, since an earlier one could not do better.
inline bool MatchesGlob(absl::string_view pattern, absl::string_view text) {
  size_t p = 0, t = 0;
  size_t after_star = absl::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      after_star = ++p;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (after_star != absl::string_view::npos) {
      p = after_star;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace ringfence::content
