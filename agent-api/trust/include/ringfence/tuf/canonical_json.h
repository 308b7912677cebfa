// The one spelling of a JSON value that signatures are made over.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ringfence::tuf {

// OLPC's canonical JSON, as TUF uses it, which is not RFC 8785: keys in the order of their bytes, no blanks,
// and in strings only the quotation mark and the backslash are escaped. A line's end in a PEM key stays a
// line's end. `value` comes from ParseStrictJson or was made by us: it holds no fractions.
std::string CanonicalJson(const nlohmann::json& value);

}  // namespace ringfence::tuf
