// Changes JSON as JSON: bytes changed at random would hardly ever be a document again, and what a signature
// is made over afterwards would test nothing but the reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#ifdef RINGFENCE_LIBFUZZER
// From libFuzzer: changes data in place and gives its new size.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
#endif

namespace ringfence::fuzz {

inline void CollectValues(nlohmann::json& value, std::vector<nlohmann::json*>* all) {
  all->push_back(&value);
  if (value.is_structured()) {
    for (auto& child : value) CollectValues(child, all);
  }
}

// One value of the document, or two, become something else that is JSON.
inline void MutateJson(nlohmann::json& document, std::minstd_rand& chance) {
  std::vector<nlohmann::json*> all;
  CollectValues(document, &all);
  nlohmann::json& one = *all[chance() % all.size()];
  const nlohmann::json other = *all[chance() % all.size()];
  switch (chance() % 8) {
    case 0:  // another value of the same document in its place
      one = other;
      return;
    case 1: {  // numbers at and around limits
      constexpr int64_t kNumbers[] = {
          0, 1, -1, 2, 64, 65, 256, 65535, 65536, INT32_MAX, 9'007'199'254'740'991, INT64_MAX};
      one = kNumbers[chance() % (sizeof kNumbers / sizeof *kNumbers)];
      return;
    }
    case 2:
      if (one.is_number_integer()) one = one.get<int64_t>() ^ 1;  // one more or one less, and never too many
      if (one.is_string() && !one.get_ref<std::string&>().empty()) {
        std::string& text = one.get_ref<std::string&>();
        text[chance() % text.size()] = static_cast<char>('0' + chance() % 10);
      }
      if (one.is_boolean()) one = !one.get<bool>();
      return;
    case 3:  // one member or element less
      if (one.is_structured() && !one.empty())
        one.erase(std::next(one.begin(), static_cast<long>(chance() % one.size())));
      return;
    case 4:  // one more
      if (one.is_array()) one.push_back(other);
      if (one.is_object()) one["x" + std::to_string(chance() % 4)] = other;
      return;
    case 5:  // an element again
      if (one.is_array() && !one.empty()) one.push_back(nlohmann::json(one[chance() % one.size()]));
      return;
    case 6:  // two members change places
      if (one.is_object() && one.size() > 1) std::swap(*one.begin(), *std::next(one.begin()));
      return;
    default:
      one = chance() % 2 == 0 ? nlohmann::json() : nlohmann::json::array();
      return;
  }
}

#ifdef RINGFENCE_LIBFUZZER
// For LLVMFuzzerCustomMutator of a target whose first byte chooses and whose rest is JSON, most of the time.
inline size_t MutateChoiceAndJson(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  std::minstd_rand chance(seed);
  auto document = size < 2
                      ? nlohmann::json(nlohmann::json::value_t::discarded)
                      : nlohmann::json::parse(data + 1, data + size, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded() || chance() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  for (int times = static_cast<int>(chance() % 2); times >= 0; --times) MutateJson(document, chance);
  const std::string text = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() + 1 > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(text.begin(), text.end(), data + 1);
  return text.size() + 1;
}
#endif

}  // namespace ringfence::fuzz
