#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

namespace {

// To the terms of the first of the largest pieces.
struct DynamicMaxGradient {
  DynamicMax op;
  MapView map;  // nhwc

  std::int64_t step() const { return op.channels / op.groups; }
  // In an image's coefficients: of vector v and channel c.
  std::int64_t place(std::int64_t v, std::int64_t c) const {
    return op.shared ? v : v * op.channels + c;
  }
  float coefficient(const float* s, std::int64_t v, std::int64_t c) const {
    return static_cast<float>(op.factor(v)) * s[place(v, c)] + static_cast<float>(op.constant(v));
  }

  std::int64_t largest(const float* x, const float* s, std::int64_t c) const {
    std::int64_t found = 0;
    float most = 0.f;
    for (std::int64_t k = 0; k < op.pieces; ++k) {
      float sum = op.offsets ? coefficient(s, op.pieces * op.terms + k, c) : 0.f;
      for (std::int64_t j = 0; j < op.terms; ++j) {
        sum += coefficient(s, k * op.terms + j, c) * x[(c + j * step()) % op.channels];
      }
      if (k > 0 && sum <= most) continue;
      found = k;
      most = sum;
    }
    return found;
  }

  // `ds` are sums over the image's pixels, in float64.
  void pixel(const float* x, const float* s, const float* dy, float* dx, double* ds) const {
    for (std::int64_t c = 0; c < op.channels; ++c) {
      const std::int64_t k = largest(x, s, c);
      for (std::int64_t j = 0; j < op.terms; ++j) {
        const std::int64_t v = k * op.terms + j, from = (c + j * step()) % op.channels;
        dx[from] += dy[c] * coefficient(s, v, c);
        ds[place(v, c)] += op.factor(v) * static_cast<double>(dy[c]) * static_cast<double>(x[from]);
      }
      if (!op.offsets) continue;
      const std::int64_t v = op.pieces * op.terms + k;
      ds[place(v, c)] += op.factor(v) * static_cast<double>(dy[c]);
    }
  }

  void image(std::int64_t image, const float* x, const float* s, const float* dy, float* dx,
             float* ds, double* sums) const {
    const std::int64_t first = map.at(image, 0, 0, 0), floats = map.pixels() * op.channels;
    const std::int64_t count = op.coefficients();
    std::fill_n(dx + first, floats, 0.f);
    std::fill_n(sums, count, 0.0);
    for (std::int64_t at = first; at < first + floats; at += op.channels) {
      pixel(x + at, s + image * count, dy + at, dx + at, sums);
    }
    for (std::int64_t i = 0; i < count; ++i) ds[image * count + i] = static_cast<float>(sums[i]);
  }
};

}  // namespace

template <>
void emit_backward(const DynamicMax& dynamic_max, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId x = builder.in_layout(inputs[0], Layout::nhwc());
  const ValueId s = builder.in_layout(inputs[1], Layout::nhwc());
  const ValueId dy = builder.gradient_of(op, Layout::nhwc());
  const ValueId dx = builder.new_gradient(inputs[0], Layout::nhwc());
  const ValueId ds = builder.new_gradient(inputs[1], Layout::nhwc());
  const DynamicMaxGradient gradient{dynamic_max, MapView(builder.value(dx))};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, gradient.map.images, [&](std::int64_t begin, std::int64_t end, int worker) {
      double* const sums =
          reinterpret_cast<double*>(buffers.scratch()) + worker * gradient.op.coefficients();
      for (std::int64_t image = begin; image < end; ++image) {
        gradient.image(image, input(buffers, x), input(buffers, s), input(buffers, dy),
                       output(buffers, dx), output(buffers, ds), sums);
      }
    });
  };
  const std::int64_t scratch = builder.options().threads * dynamic_max.coefficients();
  add_backward_loop(op, builder, {x, s, dy}, {dx, ds}, run,
                    static_cast<std::size_t>(scratch) * sizeof(double));
  if (builder.wants_gradient(inputs[0])) builder.add_gradient(inputs[0], dx);
  if (builder.wants_gradient(inputs[1])) builder.add_gradient(inputs[1], ds);
}

}  // namespace mobileone::loops
