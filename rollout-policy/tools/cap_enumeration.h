// The mean of the test's factor over every outcome of one bucket, for trap 6: a budget that closes during the
// bucket.
#pragma once

#include <functional>
#include <vector>

namespace ringfence::tools {

// One bucket in which hosts of one cell ask in turn, each treated with probability `pi`; nobody asks after
// `cell_cap` were treated. The hosts from place `bad_from` on turn bad.
struct CappedBucket {
  int hosts = 0;
  double pi = 0.0;
  int cell_cap = 0;
  int bad_from = 0;
};

// Arms in the order of asking: true is T.
using Arms = std::vector<bool>;

// Sum over all sequences of arms of probability × value; exact but for rounding.
double MeanOver(const CappedBucket& bucket, const std::function<double(const Arms&)>& value);

// What the bad hosts multiply the evidence by: the rule of the product.
double CoinFactor(const CappedBucket& bucket, const Arms& arms, double theta);

// A rule that looks right and is wrong: T's share among those of the bucket still at risk. Here so that the
// enumeration is seen to tell the two apart.
double DecrementFactor(const CappedBucket& bucket, const Arms& arms, double theta);

}  // namespace ringfence::tools
