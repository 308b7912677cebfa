// Keys for tests: each letter is a key, and so many of them are all that a host believes.
#pragma once

#include <string>

#include "ringfence/trust/authority.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::test {

inline trust::SigningKey Key(char seed) {
  return *trust::SigningKey::FromSeed(std::string(32, seed));
}

// The director's key is 'd', the halting one 'h'; ann's 'a' and bob's 'b' let it go on.
inline trust::Authority Everybody() {
  trust::Authority authority;
  authority.director = {Key('d').public_key()};
  authority.halt = {Key('h').public_key()};
  authority.resume = {{Key('a').public_key(), "ann"}, {Key('b').public_key(), "bob"}};
  return authority;
}

}  // namespace ringfence::test
