// What bench_rpc --serve and --load do, on the C++ library of gRPC with its callbacks, to compare with: the same proto, the
// same payload, one connection, and as many calls under way. Built by tests/bench/peer/build, for the benchmark alone.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "echo.grpc.pb.h"

namespace {

using Clock = std::chrono::steady_clock;
using aisbx::test::EchoReply;
using aisbx::test::EchoRequest;
using aisbx::test::EchoService;

constexpr size_t kPayloadBytes = 32;

class Service final : public EchoService::CallbackService {
    grpc::ServerUnaryReactor *Echo(grpc::CallbackServerContext *context, const EchoRequest *request, EchoReply *reply) override
    {
        reply->set_payload(request->payload());
        auto *reactor = context->DefaultReactor();
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }
};

int Serve(const std::string &address)
{
    Service service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server) {
        return 1;
    }
    std::puts("ready");
    std::fflush(stdout);
    server->Wait();
    return 0;
}

class Load {
  public:
    Load(EchoService::Stub *stub, unsigned live, Clock::time_point until) : stub_(stub), until_(until), calls_(live)
    {
        request_.set_payload(std::string(kPayloadBytes, '\1'));
    }

    void Run()
    {
        live_ = calls_.size();
        for (Call &call : calls_) {
            Next(&call);
        }
        std::unique_lock<std::mutex> lock(mutex_);
        ended_.wait(lock, [this] { return live_ == 0; });
    }

    std::vector<uint32_t> took_us;
    unsigned n_failed = 0;

  private:
    struct Call {
        std::unique_ptr<grpc::ClientContext> context;
        EchoReply reply;
        Clock::time_point since;
    };

    void Next(Call *call)
    {
        call->context = std::make_unique<grpc::ClientContext>();
        call->since = Clock::now();
        stub_->async()->Echo(call->context.get(), &request_, &call->reply, [this, call](grpc::Status status) { Done(call, status); });
    }

    void Done(Call *call, const grpc::Status &status)
    {
        auto now = Clock::now();
        bool goes_on = now < until_;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!status.ok()) {
                n_failed++;
            } else {
                took_us.push_back(static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(now - call->since).count()));
            }
            if (!goes_on && --live_ == 0) {
                ended_.notify_one();
            }
        }
        if (goes_on) {
            Next(call);
        }
    }

    EchoService::Stub *stub_;
    Clock::time_point until_;
    std::vector<Call> calls_;
    EchoRequest request_;
    std::mutex mutex_;
    std::condition_variable ended_;
    size_t live_ = 0;
};

int Measure(const std::string &address, unsigned live, unsigned ms)
{
    auto stub = EchoService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    Load(stub.get(), live, Clock::now() + std::chrono::milliseconds(50)).Run();
    auto since = Clock::now();
    Load load(stub.get(), live, since + std::chrono::milliseconds(ms));
    load.Run();
    auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - since).count();
    auto &took = load.took_us;
    std::sort(took.begin(), took.end());
    std::printf("%zu\t%u\t%lld\t%u\t%u\n", took.size(), load.n_failed, static_cast<long long>(ns),
                took.empty() ? 0 : took[took.size() / 2], took.empty() ? 0 : took[took.size() * 99 / 100]);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc == 3 && std::strcmp(argv[1], "--serve") == 0) {
        return Serve(argv[2]);
    }
    if (argc == 5 && std::strcmp(argv[1], "--load") == 0) {
        return Measure(argv[2], static_cast<unsigned>(std::atoi(argv[3])), static_cast<unsigned>(std::atoi(argv[4])));
    }
    std::fprintf(stderr, "usage: rpc_peer --serve ADDRESS | --load ADDRESS CALLS MS\n");
    return 2;
}
