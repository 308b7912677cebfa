// A page of a list that the application hands out whole, newest first.
#pragma once

#include <string>
#include <vector>

#include "server/api/decode.h"

namespace ringfence::api {

// Calls `add` for the items of the page and returns the token of the next one, empty on the last. `id` gives
// an item's number; the token is the number of the last item shown, and the next page starts after that item:
// items published meanwhile move nothing.
template <typename Item, typename Id, typename Add>
std::string ShowPage(const std::vector<Item>& items, const Page& page, Id id, Add add) {
  size_t i = 0;
  if (page.before != 0) {
    while (i < items.size() && static_cast<int64_t>(id(items[i])) != page.before) ++i;
    ++i;
  }
  for (int shown = 0; i < items.size(); ++i, ++shown) {
    if (shown == page.limit) return std::to_string(id(items[i - 1]));
    add(items[i]);
  }
  return "";
}

}  // namespace ringfence::api
