#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "layers/model/graph.h"
#include "layers/tensor/element.h"

// What a plan will do, worked out once from the graph and independent of any shard's size: operations after
// fusion, actions in order, segments between synchronization points, and the lifetime of every tensor. Pure
// data.
namespace lockstep {

struct ProgramOptions {
  bool backward = true;  // false: forward alone, without dropout
  bool fixed_statistics =
      false;  // batch_norms have theirs from outside: nothing crosses shards but gradients
  bool fuse = true;
  bool recompute = true;
  // Forward alone, for a network that is trained: parameters stay as they are at the first run, and layers
  // that take an epilogue are joined with what follows too, which gives other bits.
  bool deployed = false;
  Element element = Element::f32;  // of activations and their gradients; images and the loss are fp32
  bool allow_reference = true;     // KernelShape
};

// An operation: a layer, or one (a batch_norm; deployed, others too) joined with the add and the ReLU that
// follow it at once.
struct PlanOp {
  const Layer* layer = nullptr;
  std::vector<ValueId> inputs;  // of a joined add: [the layer's input, residual]
  ValueId output = 0;
  bool relu = false;
  bool residual = false;

  bool is_norm() const { return layer->kind() == Layer::Kind::batch_norm; }
};

// A tensor's memory from its first action to its last. Sizes are elements a sample, or what an operation's
// kernel saves.
struct Item {
  std::int64_t elements = 0;
  Element element = Element::f32;
  int saves_op = -1;  // the op whose kernel's saved bytes it holds, instead of elements
  int first = 0;      // actions, counted over the whole program
  int last = 0;
  bool crosses = false;  // lives over a synchronization point: one a shard; else one a thread will do
};
inline constexpr int no_item = -1;
inline constexpr int images_item = -2;  // the batch's images, which the loader owns

struct Action {
  // convert: inputs[0] to the output's element type.
  enum class Kind : std::uint8_t {
    convert,
    forward,
    moments,
    normalize,
    loss,
    backward,
    norm_sums,
    norm_apply
  };
  Kind kind = Kind::forward;
  int op = -1;  // of a convert and the loss: none
  std::array<int, max_inputs> inputs{no_item, no_item};
  int output = no_item;
  int saved = no_item;
  int output_gradient = no_item;
  std::array<int, max_inputs> input_gradients{no_item, no_item};
  // Where an input's gradient has been begun by another consumer: this action's part goes here first, then is
  // added.
  std::array<int, max_inputs> addends{no_item, no_item};
  bool accumulate_residual = false;  // norm_sums adds to the residual's gradient instead of writing it
};

// Actions that each shard runs through while its data is hot, then what joins the shards.
struct Segment {
  int begin = 0, end = 0;  // actions
  int norm = -1;           // the batch_norm whose values are exchanged at its end; −1: none
  bool backward = false;   // of the exchange: sums, not moments
};

struct Program {
  ProgramOptions options;
  std::vector<PlanOp> ops;
  std::vector<Action> actions;
  std::vector<Segment> segments;
  std::vector<Item> items;
};

Program make_program(const Graph& graph, ProgramOptions options);

// A readable listing of it.
std::string describe(const Program& program);

}  // namespace lockstep
