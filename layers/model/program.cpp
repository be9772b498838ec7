#include "layers/model/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace lockstep {

namespace {

bool joins(const PlanOp& op, const ProgramOptions& options) {
  return options.fuse && !op.relu && (op.is_norm() || (options.deployed && op.layer->joins()));
}

// Joins what can be with the add and the ReLU that come right behind it and alone read its result.
std::vector<PlanOp> lower(const Graph& graph, const ProgramOptions& options) {
  std::vector<int> readers(graph.values.size(), 0);
  ++readers[static_cast<std::size_t>(graph.logits())];
  for (const Node& node : graph.nodes) {
    for (const ValueId input : node.inputs) ++readers[static_cast<std::size_t>(input)];
  }

  std::vector<PlanOp> ops;
  for (const Node& node : graph.nodes) {
    const Layer::Kind kind = node.layer->kind();
    PlanOp* before = ops.empty() || !joins(ops.back(), options) ? nullptr : &ops.back();
    if (before != nullptr && readers[static_cast<std::size_t>(before->output)] == 1) {
      const bool behind = std::ranges::count(node.inputs, before->output) == 1;
      if (kind == Layer::Kind::relu && behind) {
        before->relu = true;
        before->output = node.output;
        continue;
      }
      if (kind == Layer::Kind::add && behind && !before->residual) {
        before->residual = true;
        before->inputs.push_back(node.inputs[0] == before->output ? node.inputs[1] : node.inputs[0]);
        before->output = node.output;
        continue;
      }
    }
    ops.push_back({.layer = node.layer.get(), .inputs = node.inputs, .output = node.output});
  }
  return ops;
}

class Scheduler {
 public:
  Scheduler(const Graph& graph, Program& program) : graph_(graph), program_(program) {
    value_items_.assign(graph.values.size(), no_item);
    gradient_items_.assign(graph.values.size(), no_item);
    saved_items_.assign(program.ops.size(), no_item);
    find_producers();
  }

  void schedule() {
    take_images();
    for (int op = 0; op < op_count(); ++op) forward(op);
    loss();
    if (program_.options.backward) {
      forget_recomputable();
      for (int op = op_count() - 1; op >= 0; --op) backward(op);
    }
    end_segment(-1, false);
    mark_crossing();
  }

 private:
  using Kind = Action::Kind;
  static std::size_t index(int id) { return static_cast<std::size_t>(id); }
  int op_count() const { return static_cast<int>(program_.ops.size()); }
  PlanOp& op(int number) { return program_.ops[index(number)]; }
  int now() const { return static_cast<int>(program_.actions.size()); }

  void find_producers() {
    producers_.assign(graph_.values.size(), -1);
    for (int number = 0; number < op_count(); ++number) producers_[index(op(number).output)] = number;
  }

  int add(Item item) {
    item.first = item.last = now();
    program_.items.push_back(item);
    return static_cast<int>(program_.items.size()) - 1;
  }
  // Memory for a value of the network or its gradient.
  int new_item(ValueId value, Element element) {
    return add({.elements = graph_.values[index(value)].elements(), .element = element});
  }
  int new_item(ValueId value) { return new_item(value, program_.options.element); }
  int touch(int item) {
    if (item >= 0) program_.items[index(item)].last = now();
    return item;
  }
  void end_action(Action action) { program_.actions.push_back(action); }
  void end_segment(int norm, bool is_backward) {
    const int begin = program_.segments.empty() ? 0 : program_.segments.back().end;
    program_.segments.push_back({.begin = begin, .end = now(), .norm = norm, .backward = is_backward});
  }

  void forward(int number) {
    const PlanOp& it = op(number);
    if (it.is_norm() && !program_.options.fixed_statistics) {
      end_action({.kind = Kind::moments,
                  .op = number,
                  .inputs = {touch(value_items_[index(it.inputs[0])]), no_item}});
      end_segment(number, false);
    }
    compute(number);
  }

  // `item`, which holds `value` or its gradient as `from`, as `to`.
  int converted(int item, ValueId value, Element from, Element to) {
    if (from == to) return item;
    Action action{.kind = Kind::convert, .inputs = {touch(item), no_item}};
    action.output = new_item(value, to);
    end_action(action);
    return action.output;
  }
  void take_images() { value_items_[0] = converted(images_item, 0, Element::f32, program_.options.element); }

  // The part of forward that makes the output from the inputs; in backward it makes it again.
  void compute(int number) {
    const PlanOp& it = op(number);
    Action action{.kind = it.is_norm() ? Kind::normalize : Kind::forward, .op = number};
    for (std::size_t i = 0; i < it.inputs.size(); ++i)
      action.inputs[i] = touch(value_items_[index(it.inputs[i])]);
    if (!it.is_norm()) action.saved = saved_items_[index(number)] = add({.saves_op = number});
    action.output = value_items_[index(it.output)] =
        sums_in_place(number) ? action.inputs[1] : new_item(it.output);
    end_action(action);
  }

  // Whether a joined add may write over its residual: memory that nobody reads any more, nor the layer
  // itself.
  bool sums_in_place(int number) const {
    const PlanOp& it = program_.ops[index(number)];
    if (!it.residual || it.is_norm() || it.inputs[0] == it.inputs[1]) return false;
    const auto behind = std::span(program_.ops).subspan(index(number) + 1);
    return value_items_[index(it.inputs[1])] >= 0 && std::ranges::none_of(behind, [&](const PlanOp& later) {
             return std::ranges::count(later.inputs, it.inputs[1]) > 0;
           });
  }

  void loss() {
    const ValueId logits = graph_.logits();
    const Element element = program_.options.element;
    const int values = converted(value_items_[index(logits)], logits, element, Element::f32);
    Action action{.kind = Kind::loss, .inputs = {touch(values), no_item}};
    if (program_.options.backward) action.output_gradient = new_item(logits, Element::f32);
    end_action(action);
    if (program_.options.backward) {
      gradient_items_[index(logits)] = converted(action.output_gradient, logits, Element::f32, element);
    }
  }

  // A value that one cheap pass over a kept one makes again: converted images, a batch_norm's output without
  // a residual, and a ReLU of such.
  bool recomputable(ValueId value) const {
    const int producer = producers_[index(value)];
    if (!program_.options.recompute) return false;
    if (producer < 0) return value == 0;
    const PlanOp& it = program_.ops[index(producer)];
    if (it.is_norm()) return !it.residual;
    return it.layer->kind() == Layer::Kind::relu && recomputable(it.inputs[0]);
  }
  void forget_recomputable() {
    for (ValueId value = 0; index(value) < value_items_.size(); ++value) {
      if (recomputable(value)) value_items_[index(value)] = no_item;
    }
  }
  int read_again(ValueId value) {
    if (value_items_[index(value)] == no_item) {
      const int producer = producers_[index(value)];
      if (producer < 0) {
        take_images();
      } else {
        for (const ValueId input : op(producer).inputs) read_again(input);
        compute(producer);
      }
    }
    return value_items_[index(value)];
  }

  void backward(int number) {
    const PlanOp& it = op(number);
    if (gradient_items_[index(it.output)] == no_item) return;  // nothing that counts behind it
    if (it.is_norm()) {
      norm_backward(number);
      return;
    }
    const Layer::BackwardReads reads = it.layer->backward_reads();
    if (reads.input) {
      for (const ValueId input : it.inputs) read_again(input);
    }
    if (reads.output) read_again(it.output);

    Action action{.kind = Kind::backward, .op = number};
    action.saved = touch(saved_items_[index(number)]);
    if (reads.output) action.output = touch(value_items_[index(it.output)]);
    action.output_gradient = touch(gradient_items_[index(it.output)]);
    for (std::size_t i = 0; i < it.inputs.size(); ++i) {
      if (reads.input) action.inputs[i] = touch(value_items_[index(it.inputs[i])]);
      contribute(action, i, it.inputs[i]);
    }
    end_action(action);
  }

  void norm_backward(int number) {
    const PlanOp& it = op(number);
    const bool reads_output = it.relu && it.residual;
    read_again(it.inputs[0]);

    Action sums{.kind = Kind::norm_sums, .op = number};
    sums.inputs[0] = touch(value_items_[index(it.inputs[0])]);
    if (reads_output) sums.output = touch(value_items_[index(it.output)]);
    sums.output_gradient = touch(gradient_items_[index(it.output)]);
    if (it.residual && it.inputs[1] != 0) {
      int& gradient = gradient_items_[index(it.inputs[1])];
      sums.accumulate_residual = gradient != no_item;
      if (gradient == no_item) gradient = new_item(it.inputs[1]);
      sums.input_gradients[1] = touch(gradient);
    }
    end_action(sums);
    // With fixed statistics nothing meets here, but what is behind can be folded and sent already.
    end_segment(program_.options.fixed_statistics ? -1 : number, true);

    Action apply{.kind = Kind::norm_apply, .op = number};
    apply.inputs[0] = touch(value_items_[index(it.inputs[0])]);
    apply.output_gradient = touch(gradient_items_[index(it.output)]);
    contribute(apply, 0, it.inputs[0]);
    end_action(apply);
  }

  // Input `i` receives a gradient: written by the first of the value's consumers, added to by the others.
  void contribute(Action& action, std::size_t i, ValueId value) {
    if (value == 0) return;
    int& gradient = gradient_items_[index(value)];
    if (gradient == no_item) {
      gradient = new_item(value);
    } else {
      action.addends[i] = new_item(value);
    }
    action.input_gradients[i] = touch(gradient);
  }

  void mark_crossing() {
    std::vector<int> segment_of;
    for (std::size_t segment = 0; segment < program_.segments.size(); ++segment) {
      segment_of.resize(index(program_.segments[segment].end), static_cast<int>(segment));
    }
    for (Item& item : program_.items)
      item.crosses = segment_of[index(item.first)] != segment_of[index(item.last)];
  }

  const Graph& graph_;
  Program& program_;
  std::vector<int> producers_;       // a value's op
  std::vector<int> value_items_;     // a value's current memory
  std::vector<int> gradient_items_;  // a value's gradient
  std::vector<int> saved_items_;     // an op's saved bytes
};

std::string_view name_of(Action::Kind kind) {
  switch (kind) {
    case Action::Kind::convert:
      return "convert";
    case Action::Kind::forward:
      return "forward";
    case Action::Kind::moments:
      return "moments";
    case Action::Kind::normalize:
      return "normalize";
    case Action::Kind::loss:
      return "loss";
    case Action::Kind::backward:
      return "backward";
    case Action::Kind::norm_sums:
      return "backward sums";
    case Action::Kind::norm_apply:
      return "backward apply";
  }
  return "";
}

}  // namespace

Program make_program(const Graph& graph, ProgramOptions options) {
  Program program;
  program.options = options;
  program.ops = lower(graph, options);
  Scheduler(graph, program).schedule();
  return program;
}

std::string describe(const Program& program) {
  std::string text;
  for (std::size_t i = 0; i < program.segments.size(); ++i) {
    const Segment& segment = program.segments[i];
    text += fmt::format("segment {}\n", i + 1);
    for (int number = segment.begin; number < segment.end; ++number) {
      const Action& action = program.actions[static_cast<std::size_t>(number)];
      text += fmt::format("  {}", name_of(action.kind));
      if (action.op >= 0) {
        const PlanOp& op = program.ops[static_cast<std::size_t>(action.op)];
        text += fmt::format(" {} ({}{}{})", op.layer->name(), op.layer->type(), op.residual ? " + add" : "",
                            op.relu ? " + relu" : "");
      }
      if (action.output >= 0) {
        const Item& item = program.items[static_cast<std::size_t>(action.output)];
        text += fmt::format(", output {}", item.crosses ? "kept" : "in scratch");
      }
      text += '\n';
    }
    if (segment.norm >= 0) {
      text +=
          fmt::format("  == {} of {} meet over the shards\n", segment.backward ? "gradient sums" : "moments",
                      program.ops[static_cast<std::size_t>(segment.norm)].layer->name());
    }
  }
  return text;
}

}  // namespace lockstep
