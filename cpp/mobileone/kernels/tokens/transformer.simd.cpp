// The passes over tokens of a MobileViT block; attention.cpp holds the ones between them.
#include "mobileone/kernels/tokens/transformer.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/tokens/layer_norm.hpp"
#include "mobileone/kernels/tokens/unfold.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Values of consecutive panels, `stride` floats apart.
struct Panels {
  float* data;
  std::ptrdiff_t stride;
  float* operator[](int i) const { return data + i * stride; }
};

/// A few panels that pass through the layers together, or half of one.
class TokenUnit {
 public:
  TokenUnit(const TransformerPlan& plan, const TransformerArgs& args, int first_half, int halves)
      : plan_(plan),
        args_(args),
        column_(first_half * kLanes),
        count_((halves + 1) / 2),
        vectors_(halves == 1 ? 1 : 2) {}

  // Source -> x.
  void enter() {
    const Panels pixels = wide(plan_.shape.channels_in);
    for (int i = 0; i < count_; ++i) {
      unfold(plan_, args_.src, column_ + i * kPanel, vectors_ * kLanes, pixels[i]);
    }
    apply(plan_.enter(), pixels, x(), Finish::kStore);
  }

  // x += proj(attended); x += fc2(silu(fc1(norm(x)))).
  void transform() {
    apply(plan_.proj(), panels(args_.attended, plan_.shape.features), x(), Finish::kAdd);
    normalize_x();
    const Panels hidden = wide(plan_.shape.hidden);
    apply(plan_.fc1(), normal(), hidden, Finish::kSilu);
    apply(plan_.fc2(), hidden, x(), Finish::kAdd);
  }

  void queries_keys_values() {
    normalize_x();
    apply(plan_.qkv(), normal(), panels(args_.qkv, 3 * plan_.shape.features), Finish::kStore);
  }

  // x -> destination.
  void leave() {
    normalize_x();
    const Panels result = wide(plan_.shape.channels_out);
    // A SiLU comes after the resize, if there is one.
    apply(plan_.leave(), normal(), result, plan_.shape.resizes() ? Finish::kStore : Finish::kSilu);
    for (int i = 0; i < count_; ++i) {
      fold(plan_, result[i], column_ + i * kPanel, vectors_ * kLanes, args_.dst);
    }
  }

  // Where the next layer's packed weights begin.
  const float* packed = nullptr;

 private:
  // This unit's columns of a value.
  Panels panels(float* data, int rows) const {
    const std::ptrdiff_t stride = plan_.panel_floats(rows);
    return {data + column_ / kPanel * stride + column_ % kPanel, stride};
  }
  Panels x() const { return panels(args_.x, plan_.shape.features); }
  Panels normal() const {
    return {static_cast<float*>(args_.scratch), plan_.panel_floats(plan_.shape.features)};
  }
  Panels wide(int rows) const { return {normal()[kTokenUnitPanels], plan_.panel_floats(rows)}; }

  void normalize_x() {
    for (int i = 0; i < count_; ++i) {
      normalize(x()[i], plan_.shape.features, plan_.shape.eps, vectors_, normal()[i]);
    }
  }

  void apply(const TokenLinear& linear, const Panels& from, const Panels& to, Finish finish) {
    const int groups = (linear.out + kMaxRows - 1) / kMaxRows;
    // Rows inside: a panel stays in L1 while the weight streams past. Where all panels fit there
    // together, panels inside: each group of rows is read once.
    constexpr std::ptrdiff_t kFewFloats = 6144;
    const bool all_fit = count_ * plan_.panel_floats(linear.in) <= kFewFloats;
    TokenTile t;
    t.k = t.first_k = linear.in;
    t.b_step = t.c_step = kPanel;
    t.finish = finish;
    for (int first = 0; first < count_; first += all_fit ? count_ : 1) {
      t.a = packed + padded(linear.out);
      t.bias = packed;
      std::ptrdiff_t row = 0;
      for (int group = 0; group < groups; ++group) {
        const int rows = linear.out / groups + (group < linear.out % groups ? 1 : 0);
        const TokenKernel kernel = find_token_kernel(rows, vectors_, Rows::kSide);
        t.a_step = rows;
        for (int i = first; i < (all_fit ? count_ : first + 1); ++i) {
          t.b = from[i];
          t.c = to[i] + row * kPanel;
          kernel(t);
        }
        t.a += std::ptrdiff_t{rows} * linear.in;
        t.bias += rows;
        row += rows;
      }
    }
    packed += linear.packed_floats();
  }

  const TransformerPlan& plan_;
  const TransformerArgs& args_;
  int column_, count_, vectors_;
};

}  // namespace

void transform_tokens(const TransformerPlan& plan, const TransformerArgs& args, int stage,
                      int half_begin, int half_end) {
  for (int half = half_begin; half < half_end;) {
    const int left = half_end - half;
    int halves = 1;
    if (half % 2 == 0 && left > 1) {
      const int whole = left / 2;
      halves = 2 * (whole < kTokenUnitPanels ? whole : kTokenUnitPanels);
    }
    TokenUnit unit(plan, args, half, halves);
    unit.packed = args.packed + plan.stage_offset(stage);
    if (stage == 0) {
      unit.enter();
    } else {
      unit.transform();
    }
    if (stage < plan.shape.depth) {
      unit.queries_keys_values();
    } else {
      unit.leave();
    }
    half += halves;
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
