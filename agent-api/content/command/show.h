// A file of content, for people and for programs.
#pragma once

#include <string>

#include "ringfence/content/model.h"

namespace ringfence::content {

struct Shown {
  Content content;
  uint64_t size_bytes = 0;
  std::string sha256;  // of the whole file: the digest that releases and statements name
  std::string key_id;  // first 8 bytes in hex as the file claims; empty: nobody signed
  bool key_checked = false;
};

std::string ToTable(const Shown& shown);
std::string ToJson(const Shown& shown);

}  // namespace ringfence::content
