// Damage that still looks whole: puts the checksums of a changed file right, so that what is changed reaches
// the checks behind them. Of a file of any shape; what does not fit is left alone.
#pragma once

#include <cstdint>
#include <string>

#include "ringfence/trust/ed25519.h"

namespace ringfence::content {

// Digests of sections, checksum of the header, digest of the file; with a key, its id and signature too.
void Repair(std::string* file, const trust::SigningKey* key);

// Little-endian numbers in the middle of a file. `at` + `size` must lie inside it.
uint64_t NumberAt(const std::string& file, uint64_t at, int size);
void SetNumber(std::string* file, uint64_t at, uint64_t value, int size);

}  // namespace ringfence::content
