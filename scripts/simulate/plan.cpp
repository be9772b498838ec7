// What a training step of a model exchanges, and when: written for the simulation (worker.cpp) to follow,
// from the plan that training itself runs. Usage: simulate_plan MODEL SIDE CHANNELS CLASSES. A line each:
//   tensor FLOATS         of the gradient arena, in its order
//   compute SHARE         an operation: its part of the step's time, by multiplications; all parts are 1
//   statistics DOUBLES    an exchange of so many values a node
//   ready TENSOR          its gradient is final
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "layers/model/graph.h"
#include "layers/model/parameter_table.h"
#include "layers/model/program.h"

namespace lockstep {
namespace {

// Of one sample, forward. The rest of a network is small beside its convolutions and linear layers.
double multiplications(const Layer& layer) {
  if (layer.kind() != Layer::Kind::compute || layer.parameters().empty()) return 0;
  return static_cast<double>(layer.output().pixels()) * static_cast<double>(layer.parameters()[0].count());
}

// Backward goes to the weights, and to the input unless that is the images.
double multiplications(const Action& action, const PlanOp& op) {
  const double forward = multiplications(*op.layer);
  if (action.kind == Action::Kind::forward) return forward;
  if (action.kind != Action::Kind::backward) return 0;
  return action.input_gradients[0] == no_item ? forward : 2 * forward;
}

void print_plan(const Graph& graph) {
  const ParameterTable parameters(graph, true);
  const Program program = make_program(graph, {});
  const auto op_of = [&](const Action& action) -> const PlanOp& {
    return program.ops[static_cast<std::size_t>(action.op)];
  };
  double all = 0;
  for (const Action& action : program.actions) {
    if (action.op >= 0) all += multiplications(action, op_of(action));
  }
  for (const Range tensor : parameters.bucketed_tensors()) fmt::print("tensor {}\n", tensor.size());
  for (const Segment& segment : program.segments) {
    std::vector<std::int64_t> ready;
    for (int number = segment.begin; number < segment.end; ++number) {
      const Action& action = program.actions[static_cast<std::size_t>(number)];
      if (action.op < 0) continue;
      fmt::print("compute {}\n", multiplications(action, op_of(action)) / all);
      if (action.kind != Action::Kind::backward) continue;
      const Range range = parameters.of(*op_of(action).layer);
      for (std::int64_t tensor = range.begin; tensor < range.end; ++tensor) ready.push_back(tensor);
    }
    if (segment.norm >= 0) {
      const Layer& norm = *program.ops[static_cast<std::size_t>(segment.norm)].layer;
      fmt::print("statistics {}\n", 2 * norm.output().channels);
    }
    for (const std::int64_t tensor : ready) fmt::print("ready {}\n", tensor);
  }
}

}  // namespace
}  // namespace lockstep

int main(int count, char** arguments) {
  if (count != 5) {
    fmt::print(stderr, "usage: simulate_plan MODEL SIDE CHANNELS CLASSES\n");
    return 2;
  }
  const std::int64_t side = std::atoll(arguments[2]);
  lockstep::ModelSpec spec;
  spec.name = arguments[1];
  lockstep::print_plan(
      lockstep::build_graph(spec, {.height = side, .width = side, .channels = std::atoll(arguments[3])},
                            std::atoll(arguments[4]), 1));
}
