// A plan run forward, on the wire.
#include "server/api/encode.h"

namespace ringfence::api {
namespace {

bool IsFinite(absl::Time time) {
  return time != absl::InfiniteFuture() && time != absl::InfinitePast();
}

void EncodeRing(const policy::ProjectedRing& in, v1::ProjectedRing* out) {
  out->set_ring(in.ring);
  out->set_hosts(in.hosts);
  for (const policy::ProjectedWave& wave : in.waves) {
    v1::ProjectedWave* to = out->add_waves();
    to->set_serial(wave.serial);
    to->set_version(wave.version);
    to->set_wave(wave.wave + 1);
    if (IsFinite(wave.opens)) Encode(wave.opens, to->mutable_opens());
    if (IsFinite(wave.passes)) Encode(wave.passes, to->mutable_passes());
    to->set_hosts(wave.hosts);
  }
  for (const policy::ProjectedHold& hold : in.holds) {
    v1::ProjectedHold* to = out->add_holds();
    to->set_serial(hold.serial);
    to->set_version(hold.version);
    to->set_reason(policy::Name(hold.reason));
    to->set_sentence(policy::Sentence(hold.reason));
    to->set_detail(hold.detail);
    Encode(hold.from, to->mutable_from());
    if (IsFinite(hold.until)) Encode(hold.until, to->mutable_until());
  }
}

}  // namespace

void Encode(const policy::Projection& in, v1::Projection* out) {
  out->set_channel(in.channel);
  for (const policy::ProjectedRing& ring : in.rings) EncodeRing(ring, out->add_rings());
  for (const policy::ReleaseExposure& exposure : in.exposure) {
    v1::ReleaseExposure* to = out->add_exposure();
    to->set_serial(exposure.serial);
    to->set_version(exposure.version);
    for (const policy::ExposurePoint& point : exposure.points) {
      v1::ExposurePoint* at = to->add_points();
      Encode(point.at, at->mutable_at());
      at->set_hosts(point.hosts);
    }
  }
}

void Encode(const policy::MixEntry& in, v1::LabelMixEntry* out) {
  for (const auto& [key, value] : in.labels.pairs()) {
    v1::Label* label = out->add_labels();
    label->set_key(key);
    label->set_value(value);
  }
  out->set_hosts(in.hosts);
}

}  // namespace ringfence::api
