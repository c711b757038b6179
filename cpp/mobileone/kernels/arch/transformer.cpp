// The passes over tokens of a MobileViT block; attention.cpp holds the ones between them.
#include "mobileone/kernels/transformer.hpp"

#include "mobileone/kernels/arch/entry_points.hpp"
#include "mobileone/kernels/arch/layer_norm.hpp"
#include "mobileone/kernels/arch/math.hpp"
#include "mobileone/kernels/arch/unfold.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Values of consecutive panels, `stride` floats apart.
struct Panels {
  float* data;
  std::ptrdiff_t stride;
};

/// A few panels that pass through the layers together.
class TokenUnit {
 public:
  TokenUnit(const TransformerPlan& plan, const TransformerArgs& args, int first, int count)
      : plan_(plan), args_(args), first_(first), count_(count) {}

  // Source -> x.
  void enter() {
    const Panels pixels = wide(plan_.shape.channels_in);
    for (int i = 0; i < count_; ++i) {
      unfold_panel(plan_, args_.src, first_ + i, pixels.data + i * pixels.stride);
    }
    apply(plan_.enter(), pixels, x(), Finish::kStore);
  }

  // x += proj(attended); x += fc2(silu(fc1(norm(x)))).
  void transform() {
    const std::ptrdiff_t size = plan_.panel_floats(plan_.shape.features);
    apply(plan_.proj(), {args_.attended + first_ * size, size}, x(), Finish::kAdd);
    normalize();
    const Panels hidden = wide(plan_.shape.hidden);
    apply(plan_.fc1(), normal(), hidden, Finish::kStore, true);
    apply(plan_.fc2(), hidden, x(), Finish::kAdd);
  }

  void queries_keys_values() {
    normalize();
    apply(plan_.qkv(), normal(), {args_.qkv + first_ * plan_.qkv_stride(), plan_.qkv_stride()},
          Finish::kStore);
  }

  // x -> destination.
  void leave() {
    normalize();
    const Panels result = wide(plan_.shape.channels_out);
    // A SiLU comes after the resize, if there is one.
    apply(plan_.leave(), normal(), result, Finish::kStore, !plan_.shape.resizes());
    for (int i = 0; i < count_; ++i) {
      fold_panel(plan_, result.data + i * result.stride, first_ + i, args_.dst);
    }
  }

  // Where the next layer's packed weights begin.
  const float* packed = nullptr;

 private:
  Panels x() const {
    const std::ptrdiff_t size = plan_.panel_floats(plan_.shape.features);
    return {args_.x + first_ * size, size};
  }
  Panels normal() const {
    return {static_cast<float*>(args_.scratch), plan_.panel_floats(plan_.shape.features)};
  }
  Panels wide(int rows) const {
    return {normal().data + kTokenUnitPanels * normal().stride, plan_.panel_floats(rows)};
  }

  void normalize() {
    const Panels from = x(), to = normal();
    for (int i = 0; i < count_; ++i) {
      normalize_panel(from.data + i * from.stride, plan_.shape.features, plan_.shape.eps,
                      to.data + i * to.stride);
    }
  }

  void apply(const TokenLinear& linear, const Panels& from, const Panels& to, Finish finish,
             bool activate = false) {
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
        const TokenKernel kernel = find_token_kernel(rows, 2, Rows::kSide);
        t.a_step = rows;
        for (int i = first; i < (all_fit ? count_ : first + 1); ++i) {
          t.b = from.data + i * from.stride;
          t.c = to.data + i * to.stride + row * kPanel;
          kernel(t);
          if (activate) silu_rows(t.c, rows);
        }
        t.a += std::ptrdiff_t{rows} * linear.in;
        t.bias += rows;
        row += rows;
      }
    }
    packed += linear.packed_floats();
  }

  static void silu_rows(float* data, int rows) {
    for (int i = 0; i < rows * kPanel; i += kLanes) store(data + i, silu(load(data + i)));
  }

  const TransformerPlan& plan_;
  const TransformerArgs& args_;
  int first_, count_;
};

}  // namespace

void transform_tokens(const TransformerPlan& plan, const TransformerArgs& args, int stage,
                      int panel_begin, int panel_end) {
  for (int panel = panel_begin; panel < panel_end; panel += kTokenUnitPanels) {
    const int left = panel_end - panel;
    TokenUnit unit(plan, args, panel, left < kTokenUnitPanels ? left : kTokenUnitPanels);
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
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
