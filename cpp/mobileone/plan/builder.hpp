// PlanBuilder: what backends write a plan into; Backend: what turns lowered operators into steps.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "mobileone/plan/arena.hpp"
#include "mobileone/plan/gradients.hpp"
#include "mobileone/plan/lower.hpp"
#include "mobileone/plan/pack_step.hpp"
#include "mobileone/plan/record.hpp"
#include "mobileone/plan/step.hpp"
#include "mobileone/plan/weight_cache.hpp"

namespace mobileone {

// How the fused kernels multiply matrices: `strassen` takes Strassen's algorithm wherever it
// applies, `automatic` where the cost model says that it pays.
enum class Algorithm { automatic, direct, strassen };

// Which backends run a plan: every one, the fastest first; oneDNN where it has a primitive, else
// loops; or loops alone.
enum class BackendChoice { automatic, onednn, loops };

// How sums of linear branches are trained: branch by branch, as one convolution made of the moments
// of the input (backends/training), or as the cost model says.
enum class TrainPath { automatic, moments, branches };

// What products are made of: float32 throughout, or bfloat16 with float32 sums where a backend has
// kernels for it, by the CPU's instructions or, slowly, without.
enum class PlanArithmetic { float32, bfloat16, emulated_bfloat16 };

struct CompileOptions {
  int threads = 1;
  // Nodes whose values are wanted, NCHW float32 (or [N, features]).
  std::vector<NodeId> outputs;
  // Weights are handed over with every run instead of being packed once, batch norm uses batch
  // statistics, and every executed BatchNorm adds two outputs after the wanted ones (PlanOutput).
  bool training = false;
  // Of training: also the loss and its gradient for every trainable weight, as further outputs.
  bool gradients = false;
  // Of gradients: whether the loss is a function that every run hands over (step.hpp), and not the
  // cross entropy of the graph's main result.
  bool outer_loss = false;
  TrainPath train_path = TrainPath::automatic;
  BackendChoice backend = BackendChoice::automatic;
  Algorithm algorithm = Algorithm::automatic;
  PlanArithmetic arithmetic = PlanArithmetic::float32;
  // Those of a stored plan: steps are made as they say. None: steps decide.
  std::optional<Records> records = {};
  // What measurements found best for some of the steps, where those may decide: see tiling.hpp.
  Records choices = {};
};

// What a plan writes. Statistics are of a batch norm's input in training, [channels]; the variance
// is the biased one.
struct PlanOutput {
  enum class Kind { value, batch_mean, batch_variance, loss, gradient };
  NodeId node;
  Kind kind;
  Shape shape;
  std::int64_t count = 0;   // of statistics: the elements of each channel that they are of
  std::string weight = {};  // of a gradient: the weight that it is for, whose shape it has

  bool is_statistic() const { return kind == Kind::batch_mean || kind == Kind::batch_variance; }
};

class PlanBuilder;

// Values of two steps of the backward half.
struct ActivationGradient {
  ValueId y, gradient, result;
};
struct CrossEntropy {
  ValueId logits, targets, loss, gradient;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // Emits steps for the operators from `ops[at]` on and returns how many it took; 0 when it does
  // not cover ops[at].
  virtual std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                           PlanBuilder& builder) const = 0;
  // A step that copies a value into another layout, or null. Asked of a backend once it has been
  // asked for steps of the plan and taken some, and of the last one always.
  virtual std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                        const PlanBuilder& builder) const = 0;
  // Of plans with gradients, asked as reorder() is: a step that adds values of one shape and
  // layout; one that makes the gradient of an activation's input from that of its result `y`; and
  // one that makes loss [] and gradient of logits [N, K] from them and the targets [N, K].
  virtual std::unique_ptr<Step> sum(const std::vector<ValueId>&, ValueId,
                                    const PlanBuilder&) const {
    return nullptr;
  }
  virtual std::unique_ptr<Step> activation_gradient(ActivationKind, const ActivationGradient&,
                                                    const PlanBuilder&) const {
    return nullptr;
  }
  virtual std::unique_ptr<Step> cross_entropy(const CrossEntropy&, const PlanBuilder&) const {
    return nullptr;
  }
  // Whether its steps can be made again from packed weights and records alone.
  virtual bool storable() const { return false; }
};

class PlanBuilder {
 public:
  PlanBuilder(const Network& network, const Shape& input_shape, const CompileOptions& options,
              WeightCache& weights, const std::vector<const Backend*>& backends);

  const Network& network() const { return network_; }
  const Node& node(NodeId id) const { return network_.graph.node(id); }
  const Shape& shape(NodeId id) const { return shapes_[static_cast<std::size_t>(id)]; }
  const CompileOptions& options() const { return options_; }
  const Value& value(ValueId id) const { return values_[static_cast<std::size_t>(id)]; }

  // The value that holds a node's result, in the layout in which it was first made.
  ValueId value_of(NodeId id) const;
  // The same in a given layout; emits a reorder when there is none yet.
  ValueId in_layout(NodeId id, const Layout& layout);
  // Readers of a node's result, whether needed for the outputs or not.
  const std::vector<NodeId>& readers(NodeId id) const {
    return consumers_[static_cast<std::size_t>(id)];
  }
  bool is_output(NodeId id) const;
  // A factor [N, C] that whoever reads the node's value has to multiply it with; -1 for none. A
  // backend that sets one makes sure that it also emits all readers.
  ValueId factor_of(NodeId id) const;
  void set_factor(NodeId id, ValueId factor) { factors_[id] = factor; }

  // WeightCache::get, remembering that the plan reads them. Not in training.
  std::shared_ptr<const void> packed(const std::string& key, std::size_t bytes,
                                     const std::function<void(void*)>& pack);
  // A weight as the network holds it: constant, in training a parameter.
  Operand weight(const std::string& name);
  // Weights in another order, float32: packed() of them, in training by a step (add_pack).
  Operand reordered(const std::string& key, const std::vector<std::string>& sources,
                    std::int64_t floats, const Pack& pack);
  // Of training: a value that keeps from run to run what it holds, and the step that makes it of
  // parameters whenever they have changed.
  ValueId new_kept(const Shape& shape);
  Operand add_pack(std::unique_ptr<Step> step, const std::vector<Operand>& sources, ValueId result);
  // The values among `operands`, for add_step.
  static std::vector<ValueId> values_of(const std::vector<Operand>& operands);

  // What a stored plan has on the step of `name`, null when the step decides. Throws Error when the
  // plan is a stored one that has nothing.
  const Record* stored_record(const std::string& name) const;
  // What measurements found best for the step of `name`; null when they say nothing.
  const Record* choice(const std::string& name) const;
  // Files what a step decided.
  void keep_record(const std::string& name, Record record) { records[name] = std::move(record); }

  // A new value for a node's result. `direct` lets it be the caller's own memory when the node is
  // a wanted output and the layout is plain.
  ValueId new_result(NodeId id, const Layout& layout, bool direct = false);
  // A node's result is another's: the operator has nothing to do.
  void alias(NodeId id, NodeId original) { results_[id] = results_.at(original); }
  // A value that is no node's result.
  ValueId new_temporary(const Shape& shape, DType dtype = DType::float32) {
    return add_value({shape, Layout::nchw(), dtype});
  }
  // A further output of the plan, after the wanted ones.
  ValueId new_extra_output(NodeId node, PlanOutput::Kind kind, const Shape& shape);
  // The one of a node that has been made already.
  ValueId extra_output(NodeId node, PlanOutput::Kind kind) const {
    return extra_outputs_.at({node, kind});
  }
  void add_step(std::unique_ptr<Step> step, const std::vector<ValueId>& reads,
                const std::vector<ValueId>& writes);

  // Of plans with gradients: what emits the backward steps of an operator whose forward steps have
  // just been emitted. Nothing happens in other plans.
  void on_backward(std::function<void()> emit);
  // Whether the loss depends on a weight by way of the node, and not on the input alone.
  bool wants_gradient(NodeId id) const { return gradients_.wants(id); }
  // A value in the layout for a gradient of the node's result.
  ValueId new_gradient(NodeId id, const Layout& layout) { return add_value({shape(id), layout}); }
  // One reader's part of the gradient of a node's result. `before_activation`: it is that of what
  // the node's own activation was applied to, and the only part.
  void add_gradient(NodeId id, ValueId part, bool before_activation = false);
  // Their sum in a given layout, of the operator's result before its activation; zeros when the
  // loss does not depend on it.
  ValueId gradient_of(const LoweredOp& op, const Layout& layout);
  // What the caller gets as the gradient of a weight.
  ValueId new_weight_gradient(NodeId node, const std::string& weight);
  // Emits loss and backward steps, in reverse order. After finish_outputs().
  void differentiate();

  // Lets a backend take operators, as Backend::emit.
  std::size_t emit(const Backend& backend, const std::vector<LoweredOp>& ops, std::size_t at);
  // Copies wanted outputs that are not yet in the caller's memory. The last call.
  void finish_outputs();

  std::vector<std::unique_ptr<Step>> steps;
  // The nodes whose operands steps round to bfloat16.
  std::vector<NodeId> bfloat16_nodes;
  std::map<std::string, PackedWeight> packed_weights;
  Records records;  // of the steps
  std::vector<Lifetime> lifetimes;
  std::vector<PlanOutput> outputs;      // the wanted ones first
  std::vector<std::string> parameters;  // by slot
  std::vector<Value>& values() { return values_; }

 private:
  ValueId add_value(Value value);
  void convert(ValueId from, ValueId to);
  void add_cross_entropy();
  void add_outer_loss();
  void add_zeros(NodeId id, const Layout& layout);
  // Adds the step that the first backend in use makes by `make`.
  template <typename Make>
  void add_made(const std::vector<ValueId>& reads, const std::vector<ValueId>& writes,
                const std::string& what, const Make& make);

  const Network& network_;
  const CompileOptions& options_;
  WeightCache& weights_;
  const std::vector<const Backend*>& backends_;
  std::vector<Shape> shapes_;
  std::vector<Value> values_;
  std::map<NodeId, std::vector<ValueId>> results_;
  std::map<NodeId, ValueId> factors_;
  std::map<std::pair<NodeId, PlanOutput::Kind>, ValueId> extra_outputs_;
  std::vector<std::vector<NodeId>> consumers_;
  std::map<std::string, ValueId> parameter_values_;
  std::set<const Backend*> in_use_;
  Gradients gradients_;
};

}  // namespace mobileone
