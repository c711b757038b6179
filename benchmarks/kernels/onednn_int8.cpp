// onednn_int8: a MobileOne in 8-bit integers as oneDNN's own primitives, one after the other: what
// that library reaches without anybody's graph. Layouts are the library's choice. From a float32
// image to float32 logits; squeeze-and-excite (S4) is left out, which favours it. Weights are
// random: they do not change the time. Threads are OpenMP's (OMP_NUM_THREADS).
//
//   onednn_int8 [--variant s0]... [--rounds 200]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "network.hpp"
#include "timing.hpp"

namespace {

using dnnl::memory;
using mobileone::kernels::benchmark::kDepths;
using mobileone::kernels::benchmark::seconds;
using mobileone::kernels::benchmark::Variant;
using Type = memory::data_type;
using Tag = memory::format_tag;

class Chain {
 public:
  Chain() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  // [1, 3, size, size] float32, quantized.
  void image(int size) {
    const memory given = random({{1, 3, size, size}, Type::f32, Tag::nchw});
    last_ = memory({{1, 3, size, size}, Type::s8, Tag::nhwc}, engine_);
    dnnl::primitive_attr attributes;
    attributes.set_scales_mask(DNNL_ARG_DST, 0);
    const dnnl::reorder::primitive_desc made(engine_, given.get_desc(), engine_, last_.get_desc(),
                                             attributes);
    steps_.emplace_back(dnnl::reorder(made), Arguments{{DNNL_ARG_FROM, given},
                                                       {DNNL_ARG_TO, last_},
                                                       {scale(DNNL_ARG_DST), numbers(1, 0.02f)}});
  }

  // With a ReLU, padded to half the kernel.
  void convolution(int out, int kernel, int stride, bool depthwise) {
    const auto from = last_.get_desc().get_dims();
    const memory::dim in = from[1], half = kernel / 2, size = (from[2] - 1) / stride + 1;
    const memory::dims weights =
        depthwise ? memory::dims{out, 1, 1, kernel, kernel} : memory::dims{out, in, kernel, kernel};
    const auto any = [](const memory::dims& dims, Type type) {
      return memory::desc(dims, type, Tag::any);
    };
    const memory::desc source =
        kernel == 3 && !depthwise ? last_.get_desc() : any(from, last_.get_desc().get_data_type());
    dnnl::primitive_attr attributes = scaled(depthwise ? 3 : 1);
    attributes.set_scales_mask(DNNL_ARG_DST, 0);
    dnnl::post_ops relu;
    relu.append_eltwise(dnnl::algorithm::eltwise_relu, 0.f, 0.f);
    attributes.set_post_ops(relu);
    const dnnl::convolution_forward::primitive_desc made(
        engine_, dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source,
        any(weights, Type::s8), any({out}, Type::f32), any({1, out, size, size}, Type::u8),
        {stride, stride}, {half, half}, {half, half}, attributes);
    add(dnnl::convolution_forward(made), made, out, 0.05f);
  }

  // Global average pool, then a linear layer whose results are float32.
  void head(int classes) {
    const auto from = last_.get_desc().get_dims();
    const memory pooled({{1, from[1], 1, 1}, Type::u8, Tag::nhwc}, engine_);
    const dnnl::pooling_forward::primitive_desc pool(
        engine_, dnnl::prop_kind::forward_inference, dnnl::algorithm::pooling_avg_exclude_padding,
        last_.get_desc(), pooled.get_desc(), {1, 1}, {from[2], from[3]}, {0, 0}, {0, 0}, {0, 0});
    steps_.emplace_back(dnnl::pooling_forward(pool),
                        Arguments{{DNNL_ARG_SRC, last_}, {DNNL_ARG_DST, pooled}});
    last_ = pooled;
    const memory::dims weights{classes, from[1], 1, 1};
    const dnnl::inner_product_forward::primitive_desc made(
        engine_, dnnl::prop_kind::forward_inference, pooled.get_desc(),
        {weights, Type::s8, Tag::any}, {{classes}, Type::f32, Tag::any},
        {{1, classes}, Type::f32, Tag::nc}, scaled(1));
    add(dnnl::inner_product_forward(made), made, classes, 0.f);
  }

  void run() {
    for (auto& [primitive, arguments] : steps_) primitive.execute(stream_, arguments);
    stream_.wait();
  }

 private:
  using Arguments = std::unordered_map<int, memory>;

  static int scale(int argument) { return DNNL_ARG_ATTR_SCALES | argument; }
  static dnnl::primitive_attr scaled(int weights_mask) {
    dnnl::primitive_attr attributes;
    attributes.set_scales_mask(DNNL_ARG_SRC, 0);
    attributes.set_scales_mask(DNNL_ARG_WEIGHTS, weights_mask);
    return attributes;
  }
  memory random(const memory::desc& desc) {
    memory made(desc, engine_);
    auto* const bytes = static_cast<std::uint8_t*>(made.get_data_handle());
    auto* const numbers = static_cast<float*>(made.get_data_handle());
    const bool floats = desc.get_data_type() == Type::f32;
    for (std::size_t i = 0; i < desc.get_size() / (floats ? sizeof(float) : 1); ++i) {
      const int value = std::rand() % 64;
      if (floats) {
        numbers[i] = static_cast<float>(value - 32) * 0.06f;
      } else {
        bytes[i] = static_cast<std::uint8_t>(value);
      }
    }
    return made;
  }
  memory numbers(int count, float value) {
    memory made({{count}, Type::f32, Tag::x}, engine_);
    std::fill_n(static_cast<float*>(made.get_data_handle()), count, value);
    return made;
  }
  // A step that reads the last result, reordered where it wants another layout.
  template <typename Made>
  void add(const dnnl::primitive& primitive, const Made& made, int outputs, float result_scale) {
    if (made.src_desc() != last_.get_desc()) {
      const memory moved(made.src_desc(), engine_);
      steps_.emplace_back(dnnl::reorder(last_, moved),
                          Arguments{{DNNL_ARG_FROM, last_}, {DNNL_ARG_TO, moved}});
      last_ = moved;
    }
    const memory result(made.dst_desc(), engine_);
    Arguments arguments{{DNNL_ARG_SRC, last_},
                        {DNNL_ARG_WEIGHTS, random(made.weights_desc())},
                        {DNNL_ARG_BIAS, random(made.bias_desc())},
                        {DNNL_ARG_DST, result},
                        {scale(DNNL_ARG_SRC), numbers(1, 0.02f)},
                        {scale(DNNL_ARG_WEIGHTS), numbers(outputs, 0.001f)}};
    if (result_scale != 0.f) arguments.emplace(scale(DNNL_ARG_DST), numbers(1, result_scale));
    steps_.emplace_back(primitive, std::move(arguments));
    last_ = result;
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  memory last_;
  std::vector<std::pair<dnnl::primitive, Arguments>> steps_;
};

void time_variant(const Variant& variant, int rounds) {
  Chain chain;
  chain.image(224);
  chain.convolution(variant.widths[0], 3, 2, false);
  int channels = variant.widths[0];
  for (int stage = 0; stage < 4; ++stage) {
    for (int block = 0; block < kDepths[stage]; ++block) {
      chain.convolution(channels, 3, block == 0 ? 2 : 1, true);
      channels = variant.widths[stage + 1];
      chain.convolution(channels, 1, 1, false);
    }
  }
  chain.head(1000);
  std::vector<double> times;
  for (int round = -10; round < rounds; ++round) {
    const double start = seconds();
    chain.run();
    if (round >= 0) times.push_back(seconds() - start);
  }
  std::ranges::sort(times);
  std::printf("%s: minimum %.3f ms, median %.3f ms\n", variant.name.c_str(), 1e3 * times.front(),
              1e3 * times[times.size() / 2]);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> wanted;
  int rounds = 200;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--variant") == 0) wanted.emplace_back(argv[i + 1]);
    if (std::strcmp(argv[i], "--rounds") == 0) rounds = std::max(1, std::atoi(argv[i + 1]));
  }
  const auto* const version = dnnl_version();
  std::printf("oneDNN %d.%d.%d\n", version->major, version->minor, version->patch);
  for (const Variant& variant : mobileone::kernels::benchmark::variants()) {
    if (wanted.empty() || std::ranges::count(wanted, variant.name) > 0) {
      time_variant(variant, rounds);
    }
  }
  return 0;
}
