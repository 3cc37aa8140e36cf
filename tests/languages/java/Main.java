import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

public class Main {
    public static void main(String[] args) throws Exception {
        var pool = Executors.newFixedThreadPool(4);
        Future<Integer> sum = pool.submit(() -> IntStream.range(0, 100).parallel().sum());
        if (sum.get() != 4950) throw new AssertionError("sum");
        pool.shutdown();
        Files.writeString(Path.of("out.txt"), "hello");
        if (!Files.readString(Path.of("out.txt")).equals("hello")) throw new AssertionError("file");
        var process = new ProcessBuilder("sh", "-c", "echo $((6 * 7))").start();
        if (!new String(process.getInputStream().readAllBytes()).equals("42\n")) throw new AssertionError("process");
        System.out.println("java ok");
    }
}
