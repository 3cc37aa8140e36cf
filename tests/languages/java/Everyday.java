import java.io.RandomAccessFile;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.time.ZoneId;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RecursiveTask;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.TimeUnit;

/** What popular packages stand on: each method is one need. */
public class Everyday {
    static void check(boolean isTrue, String what) {
        if (!isTrue) throw new AssertionError(what);
    }

    static class Sum extends RecursiveTask<Long> {
        final long from, to;

        Sum(long from, long to) {
            this.from = from;
            this.to = to;
        }

        @Override
        protected Long compute() {
            if (to - from < 100) {
                long sum = 0;
                for (long n = from; n < to; n++) sum += n;
                return sum;
            }
            var left = new Sum(from, (from + to) / 2);
            left.fork();
            return new Sum((from + to) / 2, to).compute() + left.join();
        }
    }

    static void forkAndJoin() {
        check(new ForkJoinPool(4).invoke(new Sum(0, 100000)) == 4999950000L, "sum");
    }

    /** From Java 21 on. */
    static void virtualThreads() throws Exception {
        if (Runtime.version().feature() < 21) return;
        var pool = (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        for (int i = 0; i < 1000; i++) pool.submit(() -> { Thread.sleep(1); return 1; });
        pool.shutdown();
        check(pool.awaitTermination(60, TimeUnit.SECONDS), "virtual threads");
    }

    static void serversOnLoopback() throws Exception {
        var server = com.sun.net.httpserver.HttpServer.create(new java.net.InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, 6);
            exchange.getResponseBody().write("served".getBytes());
            exchange.close();
        });
        server.start();
        var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.getAddress().getPort())).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        check(answer.body().equals("served"), "http");
        server.stop(0);
        var address = UnixDomainSocketAddress.of("/tmp/everyday.sock");
        try (var listening = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            listening.bind(address);
            SocketChannel.open(address).close();
            listening.accept().close();
        }
        try (var listening = new ServerSocket(0); var socket = new Socket("localhost", listening.getLocalPort())) {
            check(socket.isConnected(), "localhost");
        }
    }

    static void files() throws Exception {
        try (var file = new RandomAccessFile("mapped", "rw"); var lock = file.getChannel().lock()) {
            var memory = file.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20);
            memory.put(0, (byte) 1);
            memory.force();
            check(lock.isValid(), "lock");
        }
        try (var watch = Path.of(".").getFileSystem().newWatchService()) {
            Path.of(".").register(watch, StandardWatchEventKinds.ENTRY_CREATE);
            Files.createTempFile(Path.of("."), "new", null);
            check(watch.poll(60, TimeUnit.SECONDS) != null, "watch");
        }
    }

    static void processes() throws Exception {
        var child = new ProcessBuilder("sleep", "1000").start();
        child.toHandle().destroyForcibly();
        check(child.waitFor(60, TimeUnit.SECONDS) && child.exitValue() == 137, "killed");
        check(ProcessHandle.current().info().command().isPresent(), "own command");
        ZoneId.of("Europe/Berlin").getRules();
        check(Runtime.getRuntime().availableProcessors() > 0 && System.getProperty("user.home") != null, "machine");
    }

    public static void main(String[] args) throws Exception {
        forkAndJoin();
        virtualThreads();
        serversOnLoopback();
        files();
        processes();
        System.out.println("java has its everyday needs met");
    }
}
