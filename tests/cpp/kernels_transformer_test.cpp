// The global half of a MobileViT block against its float64 reference, pass by pass and as a whole,
// on every instruction set.
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <optional>

#include "kernels_testing.hpp"
#include "mobileone/base/thread_pool.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/transformer_reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

/// Random weights of a shape, their references and their packed form.
struct Block {
  struct Layer {
    std::vector<float> norm1, norm1_bias, qkv, qkv_bias, proj, proj_bias, norm2, norm2_bias, fc1,
        fc1_bias, fc2, fc2_bias;
  };
  TransformerShape shape;
  TransformerPlan plan;
  std::vector<float> src, enter, norm, norm_bias, leave, leave_bias;
  std::vector<Layer> layers;
  Buffer packed;

  Block(const KernelTable& table, const TransformerShape& s)
      : shape(s), plan(plan_transformer(table.traits, s)), packed(plan.packed_floats()) {
    unsigned seed = 1;
    const auto matrix = [&](int out, int in) {
      return random_floats(std::size_t(out) * in, seed++, 1.0f / std::sqrt(float(in)));
    };
    const auto gain = [&] {
      auto values = random_floats(s.features, seed++, 0.3f);
      for (float& x : values) x += 1.0f;
      return values;
    };
    const auto vector = [&](int n) { return random_floats(n, seed++, 0.3f); };
    const int d = s.features;
    src = random_floats(std::size_t(s.channels_in) * s.height * s.width, seed++);
    enter = matrix(d, s.channels_in);
    for (int i = 0; i < s.depth; ++i) {
      layers.push_back({gain(), vector(d), matrix(3 * d, d), vector(3 * d), matrix(d, d), vector(d),
                        gain(), vector(d), matrix(s.hidden, d), vector(s.hidden),
                        matrix(d, s.hidden), vector(d)});
    }
    norm = gain();
    norm_bias = vector(d);
    leave = matrix(s.channels_out, d);
    leave_bias = vector(s.channels_out);
    pack();
  }

  void pack() {
    TransformerWeights weights{enter.data(), nullptr,          {}, norm.data(), norm_bias.data(),
                               leave.data(), leave_bias.data()};
    for (const Layer& l : layers) {
      weights.layers.push_back({l.norm1.data(), l.norm1_bias.data(), l.qkv.data(),
                                l.qkv_bias.data(), l.proj.data(), l.proj_bias.data(),
                                l.norm2.data(), l.norm2_bias.data(), l.fc1.data(),
                                l.fc1_bias.data(), l.fc2.data(), l.fc2_bias.data()});
    }
    pack_transformer(plan, weights, packed.get());
  }

  Map source() const { return exact_map(shape.channels_in, shape.height, shape.width, src); }
  Map entered(const Map& pixels) const {
    return folded_linear(pixels, shape.features, enter.data(), nullptr, {});
  }
  Map queries_keys_values(const Map& x, int layer) const {
    const Layer& l = layers[layer];
    const double scale = 1.0 / (std::sqrt(double(shape.head_features())) * std::log(2.0));
    return folded_linear(normalize(x, shape.eps), 3 * shape.features, l.qkv.data(),
                         l.qkv_bias.data(),
                         {l.norm1.data(), l.norm1_bias.data(), shape.features, scale});
  }
  Map transformed(const Map& x, const Map& attended, int layer) const {
    const Layer& l = layers[layer];
    const int d = shape.features;
    Map middle = folded_linear(attended, d, l.proj.data(), l.proj_bias.data(), {});
    add(middle, x);
    Map hidden = folded_linear(normalize(middle, shape.eps), shape.hidden, l.fc1.data(),
                               l.fc1_bias.data(), {l.norm2.data(), l.norm2_bias.data()});
    activate(Activation::kSilu, hidden);
    Map result = folded_linear(hidden, d, l.fc2.data(), l.fc2_bias.data(), {});
    add(result, middle);
    return result;
  }
  // Without the SiLU, which comes after the resize.
  Map left(const Map& x) const {
    return folded_linear(normalize(x, shape.eps), shape.channels_out, leave.data(),
                         leave_bias.data(), {norm.data(), norm_bias.data()});
  }
};

/// Buffers of one run, filled with what must not matter.
struct Pass {
  const KernelTable& table;
  const Block& block;
  Buffer x, qkv, attended, src, last, dst;
  std::vector<std::unique_ptr<Buffer>> scratch;

  Pass(const KernelTable& t, const Block& b, int threads = 1)
      : table(t),
        block(b),
        x(b.plan.x_floats()),
        qkv(b.plan.qkv_floats()),
        attended(b.plan.x_floats()),
        src(b.shape.src().num_floats()),
        last(b.shape.last().num_floats()),
        dst(b.shape.dst().num_floats()) {
    to_blocked(b.shape.src(), b.src.data(), src.get());
    for (Buffer* buffer : {&last, &dst}) std::fill_n(buffer->get(), buffer->size, 777.0f);
    zero_border(b.shape.last(), last.get());
    zero_border(b.shape.dst(), dst.get());
    for (int i = 0; i < threads; ++i) {
      scratch.push_back(std::make_unique<Buffer>(b.plan.scratch_bytes() / 4));
      std::fill_n(scratch.back()->get(), scratch.back()->size,
                  std::numeric_limits<float>::quiet_NaN());
    }
  }

  TransformerArgs args(int thread = 0) const {
    return {.src = src.get(),
            .dst = block.shape.resizes() ? last.get() : dst.get(),
            .x = x.get(),
            .qkv = qkv.get(),
            .attended = attended.get(),
            .packed = block.packed.get(),
            .scratch = scratch[thread]->get()};
  }

  void tokens(int stage, int step = 1000) const {
    const int halves = block.plan.half_panels();
    for (int half = 0; half < halves; half += step) {
      table.transform_tokens(block.plan, args(), stage, half, std::min(half + step, halves));
    }
  }
  void attend() const { table.attention(block.plan, args(), 0, block.plan.attention_units()); }
  void resize() const {
    if (!block.shape.resizes()) return;
    const MapShape from = block.shape.last(), to = block.shape.dst();
    const ResizeShape shape{to.channels, from.height, from.width,
                            to.height,   to.width,    Activation::kSilu};
    table.resize_map(shape, last.get(), dst.get(), 0, to.height);
  }
  std::vector<float> result() const { return interior(block.shape.dst(), dst); }
  std::vector<float> whole(int step) const {
    tokens(0, step);
    for (int i = 0; i < block.shape.depth; ++i) {
      attend();
      tokens(i + 1, step);
    }
    resize();
    return result();
  }

  // Column `token` of position `position`, row `row` of panels with `rows` rows.
  float& at(const Buffer& panels, int rows, int row, int position, int token) const {
    const int column = position * block.plan.tokens.stride() + token;
    const int width = block.plan.panel_columns;
    return panels.get()[(std::size_t(column / width) * rows + row) * width + column % width];
  }
  std::vector<float> sequence(const Buffer& panels, int rows, int position) const {
    std::vector<float> out;
    for (int row = 0; row < rows; ++row) {
      for (int token = 0; token < block.plan.tokens.tokens(); ++token) {
        out.push_back(at(panels, rows, row, position, token));
      }
    }
    return out;
  }
  Map exact(const Buffer& panels, int rows, int position) const {
    return exact_map(rows, 1, block.plan.tokens.tokens(), sequence(panels, rows, position));
  }
  std::string compare(const Buffer& panels, const Map& expected, int position) const {
    return mismatch(expected, sequence(panels, expected.channels, position).data());
  }
  void set_sequence(const Buffer& panels, int position, const std::vector<float>& values) const {
    const int tokens = block.plan.tokens.tokens(), rows = int(values.size()) / tokens;
    for (int i = 0; i < int(values.size()); ++i) {
      at(panels, rows, i / tokens, position, i % tokens) = values[i];
    }
  }
};

TransformerShape shape_of(int height, int width, int channels, int features, int hidden, int heads,
                          int depth, int patch_height = 2, int patch_width = 2) {
  return {height, width, channels, features,     hidden,
          heads,  depth, channels, patch_height, patch_width};
}

// Features that are multiples of nothing, sequences of 1 to 400 tokens, every kind of patch, and
// maps that it does not divide.
const TransformerShape kShapes[] = {
    shape_of(2, 2, 1, 1, 1, 1, 1),          shape_of(8, 8, 16, 16, 32, 4, 1),
    shape_of(4, 6, 17, 20, 33, 2, 2),       shape_of(12, 10, 24, 60, 31, 1, 1),
    shape_of(6, 22, 48, 30, 61, 3, 1),      shape_of(20, 14, 5, 7, 3, 7, 2),
    shape_of(3, 6, 16, 12, 20, 2, 1, 3, 1), shape_of(4, 12, 16, 8, 8, 2, 1, 1, 4),
    shape_of(5, 7, 19, 8, 9, 2, 1, 1, 1),   shape_of(40, 40, 16, 16, 16, 2, 1),
    shape_of(8, 8, 16, 18, 25, 3, 2, 4, 2), shape_of(16, 16, 12, 12, 20, 3, 1, 4, 2),
    shape_of(7, 7, 16, 16, 20, 4, 1),       shape_of(1, 1, 5, 4, 4, 2, 1),
    shape_of(12, 17, 20, 12, 9, 3, 3),      shape_of(7, 5, 16, 8, 8, 2, 1, 4, 3),
};

class TransformerTest : public KernelTest {
 protected:
  static void check_first(const Block& block, const Pass& run) {
    run.tokens(0);
    const TokenLayout& t = block.plan.tokens;
    const auto pixels =
        unfold(resize(block.source(), t.height, t.width), t.patch_height, t.patch_width);
    for (int p = 0; p < t.positions(); ++p) {
      EXPECT_EQ(run.compare(run.x, block.entered(pixels[p]), p), "") << "x of " << p;
      const Map x = run.exact(run.x, block.shape.features, p);
      EXPECT_EQ(run.compare(run.qkv, block.queries_keys_values(x, 0), p), "") << "qkv of " << p;
    }
  }

  static void check_attention(const Pass& run) {
    const TransformerShape& shape = run.block.shape;
    run.attend();
    for (int p = 0; p < run.block.plan.tokens.positions(); ++p) {
      const Map qkv = run.exact(run.qkv, 3 * shape.features, p);
      EXPECT_EQ(run.compare(run.attended, attention(qkv, shape.heads), p), "") << "attended " << p;
    }
  }

  static void check_transform(const Block& block, const Pass& run, int layer) {
    const TransformerShape& shape = block.shape;
    const TokenLayout& t = block.plan.tokens;
    const bool last = layer + 1 == shape.depth;
    std::vector<Map> expected, out;
    for (int p = 0; p < t.positions(); ++p) {
      expected.push_back(block.transformed(run.exact(run.x, shape.features, p),
                                           run.exact(run.attended, shape.features, p), layer));
    }
    run.tokens(layer + 1);
    for (int p = 0; p < t.positions(); ++p) {
      EXPECT_EQ(run.compare(run.x, expected[p], p), "") << "x of " << p << " layer " << layer;
      const Map x = run.exact(run.x, shape.features, p);
      out.push_back(last ? block.left(x) : block.queries_keys_values(x, layer + 1));
      if (!last) {
        EXPECT_EQ(run.compare(run.qkv, out[p], p), "") << "qkv of " << p;
      }
    }
    if (!last) return;
    Map map = fold(out, t.height, t.width, t.patch_height, t.patch_width);
    if (!shape.resizes()) activate(Activation::kSilu, map);
    const Buffer& got = shape.resizes() ? run.last : run.dst;
    EXPECT_EQ(mismatch(map, interior(shape.last(), got).data()), "");
  }

  static std::string name(const TransformerShape& s) {
    std::ostringstream text;
    text << s.height << "x" << s.width << " C " << s.channels_in << " -> " << s.channels_out
         << " d " << s.features << " hidden " << s.hidden << " heads " << s.heads << " depth "
         << s.depth << " patch " << s.patch_height << "x" << s.patch_width;
    return text.str();
  }
};

// Every pass, on what the passes before it really left: the bound is of one pass alone.
TEST_P(TransformerTest, PassByPass) {
  for (const TransformerShape& shape : kShapes) {
    SCOPED_TRACE(name(shape));
    const Block block(table, shape);
    const Pass run(table, block);
    check_first(block, run);
    for (int layer = 0; layer < shape.depth; ++layer) {
      check_attention(run);
      check_transform(block, run, layer);
    }
    if (!shape.resizes()) continue;
    const MapShape last = shape.last();
    const Map big = exact_map(last.channels, last.height, last.width, interior(last, run.last));
    run.resize();
    Map expected = resize(big, shape.height, shape.width);
    activate(Activation::kSilu, expected);
    EXPECT_EQ(mismatch(expected, run.result().data()), "");
  }
}

// Scores far apart: all the weight on one key, none on the others, no overflow.
TEST_P(TransformerTest, AttentionSaturates) {
  const Block block(table, shape_of(8, 12, 16, 16, 16, 2, 1));
  const Pass run(table, block);
  const int tokens = block.plan.tokens.tokens();
  auto values = random_floats(std::size_t(48) * tokens, 3, 300.0f);
  for (int p = 0; p < 4; ++p) run.set_sequence(run.qkv, p, values);
  run.attend();
  const Map expected = attention(exact_map(48, 1, tokens, values), 2);
  EXPECT_EQ(mismatch(expected, run.sequence(run.attended, 16, 2).data()), "");
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  for (float x : run.sequence(run.attended, 16, 2)) {
    EXPECT_LE(x, *high);
    EXPECT_GE(x, *low);
  }
}

TEST_P(TransformerTest, WithoutBiasesAndNorms) {
  const Block full(table, shape_of(6, 6, 16, 16, 20, 2, 1));
  Block block = Block(table, full.shape);
  for (auto* values : {&block.layers[0].norm1, &block.layers[0].norm2, &block.norm}) {
    std::fill(values->begin(), values->end(), 1.0f);
  }
  auto& l = block.layers[0];
  for (auto* values : {&l.norm1_bias, &l.qkv_bias, &l.proj_bias, &l.norm2_bias, &l.fc1_bias,
                       &l.fc2_bias, &block.norm_bias, &block.leave_bias}) {
    std::fill(values->begin(), values->end(), 0.0f);
  }
  block.pack();
  const std::vector<float> with_zeros = Pass(table, block).whole(1);
  TransformerWeights weights;
  weights.enter = block.enter.data();
  weights.leave = block.leave.data();
  TransformerLayerWeights layer;
  layer.qkv = l.qkv.data();
  layer.proj = l.proj.data();
  layer.fc1 = l.fc1.data();
  layer.fc2 = l.fc2.data();
  weights.layers = {layer};
  pack_transformer(block.plan, weights, block.packed.get());
  EXPECT_EQ(Pass(table, block).whole(1), with_zeros);
}

// Any partition of the panels and any number of threads gives the same bits.
TEST_P(TransformerTest, ThreadsAndPartitions) {
  for (const TransformerShape& shape :
       {shape_of(16, 18, 24, 20, 24, 2, 2), shape_of(7, 9, 16, 16, 16, 4, 1)}) {
    const Block block(table, shape);
    const std::vector<float> expected = Pass(table, block).whole(1000);
    for (int step : {1, 2, 5}) EXPECT_EQ(Pass(table, block).whole(step), expected);
    for (int threads : {2, 3, 4}) {
      ThreadPool pool(threads);
      const Pass run(table, block, threads);
      const auto spread = [&](int units, const auto& work) { ASSERT_TRUE(pool.run(units, work)); };
      for (int stage = 0; stage <= shape.depth; ++stage) {
        spread(block.plan.half_panels(), [&](int thread, int unit) {
          table.transform_tokens(block.plan, run.args(thread), stage, unit, unit + 1);
        });
        if (stage == shape.depth) break;
        spread(block.plan.attention_units(), [&](int thread, int unit) {
          table.attention(block.plan, run.args(thread), unit, unit + 1);
        });
      }
      run.resize();
      EXPECT_EQ(run.result(), expected) << threads << " threads";
    }
  }
}

TEST_P(TransformerTest, NanStaysInItsSequence) {
  const TransformerShape shape = shape_of(8, 8, 16, 16, 16, 2, 1);
  Block block(table, shape);
  block.src[0] = std::numeric_limits<float>::quiet_NaN();  // row 0, column 0: position 0
  const std::vector<float> got = Pass(table, block).whole(1000);
  for (int i = 0; i < 64; ++i) {
    const bool same = i / 8 % 2 == 0 && i % 2 == 0;
    EXPECT_EQ(std::isnan(got[i]), same) << i;
  }
}

TEST(TransformerPlan, RejectsBadArguments) {
  const TransformerShape good = shape_of(8, 8, 16, 16, 16, 4, 1);
  EXPECT_NO_THROW(plan_transformer(avx512::kTraits, good));
  for (auto field :
       {&TransformerShape::height, &TransformerShape::width, &TransformerShape::features,
        &TransformerShape::hidden, &TransformerShape::depth, &TransformerShape::patch_width}) {
    TransformerShape bad = good;
    bad.*field = 0;
    EXPECT_THROW(plan_transformer(avx512::kTraits, bad), std::invalid_argument);
  }
  TransformerShape bad = good;
  bad.heads = 5;
  EXPECT_THROW(plan_transformer(avx512::kTraits, bad), std::invalid_argument);
}

MOBILEONE_FOR_ALL_TABLES(TransformerTest);

}  // namespace
}  // namespace mobileone::kernels::testing
