// A stem's seeded weights and image, its float64 reference, and the block after it.
#pragma once

#include "kernels_block_testing.hpp"

namespace mobileone::kernels::testing {

struct StemData {
  StemPlan plan;
  std::vector<float> image, weight, bias;
  Buffer packed;

  StemData(const KernelTable& table, int height, int width, int channels,
           Activation activation = Activation::kRelu, Algorithm algorithm = Algorithm::kDirect)
      : plan(plan_stem(table.traits, height, width, channels, activation, algorithm)),
        image(random_floats(std::size_t(3) * height * width, 1)),
        weight(random_floats(std::size_t(channels) * kStemTaps, 2, 0.3f)),
        bias(random_floats(channels, 3)),
        packed(plan.packed_bytes() / 4) {
    pack_stem(plan, weight.data(), bias.data(), packed.get());
  }
  reference::Map reference() const {
    using namespace kernels::reference;
    const Map source = exact_map(3, plan.height, plan.width, image);
    Map map = conv(source, plan.channels, {3, 2, false}, weight, bias);
    if (plan.by_windows()) stem_bounds(source, weight, bias, map);
    activate(plan.activation, map);
    return map;
  }
};

inline Buffer poisoned(std::size_t bytes) {
  Buffer buffer(bytes / 4);
  std::fill_n(buffer.get(), buffer.size, std::numeric_limits<float>::quiet_NaN());
  return buffer;
}

inline BlockShape first_block(const MapShape& stem, int out) {
  BlockShape shape;
  shape.channels_in = stem.channels;
  shape.channels_out = out;
  shape.height = stem.height;
  shape.width = stem.width;
  shape.stride = 2;
  shape.depthwise_activation = shape.project.activation = Activation::kRelu;
  return shape;
}

}  // namespace mobileone::kernels::testing
