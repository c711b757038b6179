#include "mobileone/kernels/arch/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2, each [k_blocks/2][half_pitch][16].
void sum_quarters(const float* a11, std::ptrdiff_t a_block, std::ptrdiff_t to_a12,
                  std::ptrdiff_t to_a21, int k_blocks, int pixels, float* s1,
                  std::ptrdiff_t s_block, std::ptrdiff_t s_size) {
  for (int block = 0; block < k_blocks; ++block, a11 += a_block, s1 += s_block) {
    for (int i = 0; i < pixels * kBlock; i += kLanes) {
      const Vec v11 = load(a11 + i);
      const Vec v12 = load(a11 + to_a12 + i);
      const Vec v21 = load(a11 + to_a21 + i);
      const Vec v22 = load(a11 + to_a12 + to_a21 + i);
      const Vec sum1 = add(v21, v22);
      const Vec sum2 = sub(sum1, v11);
      store(s1 + i, sum1);
      store(s1 + s_size + i, sum2);
      store(s1 + 2 * s_size + i, sub(v11, v21));
      store(s1 + 3 * s_size + i, sub(v12, sum2));
    }
  }
}

/// The seven products of one panel, each over all pixels of a half tile before the next: one
/// operand of B stays in L1 meanwhile, and U0 and U1 in L1 or L2.
class PanelSchedule {
 public:
  PanelSchedule(const PanelProduct& job, const float* panel, const float* panels_end, float* u0,
                float* u1)
      : job_(job),
        panel_(panel),
        panels_end_(panels_end),
        operand_size_(std::ptrdiff_t{job.k_blocks} * kBlock * job.vectors * kLanes),
        u0_(u0),
        u1_(u1) {}

  /// partial = start + a * B[operand]
  void to_partial(Operand a, int operand, const float* start, float* partial) {
    job_.product.finish = Finish::kPartial;
    job_.product.start = start;
    job_.product.partial = partial;
    multiply(a, operand);
  }

  /// C = start + a * B[operand]
  void to_output(Operand a, int operand, const float* start, const Product& output) {
    set_output(output);
    job_.product.finish = Finish::kOutput;
    job_.product.start = start;
    multiply(a, operand);
  }

  /// P = a * B[operand], C = U1 + P, U0 += P
  void to_output_and_u0(Operand a, int operand, const Product& output) {
    set_output(output);
    job_.product.finish = Finish::kOutputAndAdd;
    job_.product.start = nullptr;
    job_.product.partial = u0_;
    job_.product.other = u1_;
    multiply(a, operand);
  }

 private:
  void set_output(const Product& output) {
    job_.product.bias = output.bias;
    job_.product.dst = output.dst;
    job_.product.sums = output.sums;
    job_.product.offsets = output.offsets;
  }
  void multiply(Operand a, int operand) {
    job_.a = a;
    job_.product.b = panel_ + operand * operand_size_;
    // The operands of a panel, and the panels, follow each other: fetch the next one, up to the
    // end.
    const float* next = job_.product.b + operand_size_;
    const float* end = next + operand_size_;
    job_.panel = {next, end < panels_end_ ? end : panels_end_};
    multiply_panel(job_);
  }

  PanelProduct job_;
  const float* panel_;
  const float* panels_end_;
  std::ptrdiff_t operand_size_;
  float *u0_, *u1_;
};

}  // namespace

void pointwise_strassen(const PointwisePlan& plan, const PointwiseTile& t) {
  const int half = t.pixels / 2, half_k = plan.k_blocks / 2, half_n = plan.n_blocks / 2;
  const std::ptrdiff_t a_block = std::ptrdiff_t{plan.pitch()} * kBlock;
  const std::ptrdiff_t s_block = std::ptrdiff_t{plan.half_pitch()} * kBlock;
  const std::ptrdiff_t s_size = half_k * s_block;
  const std::ptrdiff_t to_a12 = half_k * a_block, to_a21 = std::ptrdiff_t{half} * kBlock;
  float* v = partials(plan, t.scratch);
  float* u0 = v + plan.partial_floats();
  float* u1 = u0 + plan.partial_floats();
  float* s = u1 + plan.partial_floats();
  const float* a = t.scratch;
  sum_quarters(a, a_block, to_a12, to_a21, half_k, half, s, s_block, s_size);

  const Operand a11{a, a_block}, a12{a + to_a12, a_block}, a22{a + to_a12 + to_a21, a_block};
  const Operand s1{s, s_block}, s2{s + s_size, s_block}, s3{s + 2 * s_size, s_block};
  const Operand s4{s + 3 * s_size, s_block};
  PanelProduct job;
  job.pixels = half;
  job.k_blocks = half_k;
  job.k_chunk = plan.k_chunk;
  job.spill = v;
  job.background = t.background;
  job.product.floor = t.floor;
  job.product.dst_block = t.dst_block;
  const Panel last = plan.panel(t.panel_end - 1);
  const float* panels_end = t.packed + plan.panel_offset(last.first_block + last.num_blocks);
  const std::int32_t* top = offset_table(plan, t.scratch);
  job.product.offsets = top;
  for (int index = t.panel_begin; index < t.panel_end; ++index) {
    const Panel panel = plan.panel(index);
    job.vectors = panel.num_blocks * kBlock / kLanes;
    const auto quarter = [&](int block, const std::int32_t* offsets) {
      Product output;
      output.bias = t.bias + block * kBlock;
      output.dst = t.dst + block * t.dst_block;
      output.sums = t.sums == nullptr ? nullptr : t.sums + block * kBlock;
      output.offsets = offsets;
      return output;
    };
    const int left = panel.first_block, right = panel.first_block + half_n;
    PanelSchedule run(job, t.packed + plan.panel_offset(left), panels_end, u0, u1);
    run.to_partial(a11, 0, nullptr, u0);                      // U0 = A11 B11
    run.to_output(a12, 1, u0, quarter(left, top));            // C11 = U0 + A12 B21
    run.to_partial(s2, 2, u0, u0);                            // U0 += S2 T2
    run.to_partial(s3, 3, u0, u1);                            // U1 = U0 + S3 T3
    run.to_output(a22, 4, u1, quarter(left, top + half));     // C21 = U1 - A22 T4
    run.to_output_and_u0(s1, 5, quarter(right, top + half));  // C22 = U1 + S1 T1, U0 += S1 T1
    run.to_output(s4, 6, u0, quarter(right, top));            // C12 = U0 + S4 B22
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
