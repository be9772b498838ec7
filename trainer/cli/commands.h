#pragma once

#include <string>
#include <vector>

// The commands of the program, one source file each. Each takes what follows its name on the command line
// ("lockstep train a.yaml --resume": {"a.yaml", "--resume"}) and answers the exit code of the process
// (comm/base/error.h). Mistakes and failures are thrown as Error; `dispatch` turns them into message and
// code.
namespace lockstep {

int run_train(const std::vector<std::string>& arguments);
int run_evaluate(const std::vector<std::string>& arguments);
int run_predict(const std::vector<std::string>& arguments);
int run_export(const std::vector<std::string>& arguments);
int run_inspect(const std::vector<std::string>& arguments);
int run_compare(const std::vector<std::string>& arguments);
int run_config(const std::vector<std::string>& arguments);
int run_bench(const std::vector<std::string>& arguments);

}  // namespace lockstep
