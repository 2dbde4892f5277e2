import java.io.File;
import java.util.Collections;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * Loads the classes of all jars on the class path whose names begin with one of the arguments, and ends.
 *
 * <p>Run with {@code -XX:ArchiveClassesAtExit} this makes an archive from which later runs take their classes.
 */
public final class Preload {
    public static void main(String[] prefixes) throws Exception {
        ClassLoader loader = Preload.class.getClassLoader();
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            String name = new File(path).getName();
            for (String prefix : prefixes) {
                if (name.startsWith(prefix)) {
                    load(path, loader);
                }
            }
        }
    }

    private static void load(String path, ClassLoader loader) throws Exception {
        try (JarFile jar = new JarFile(path)) {
            for (JarEntry entry : Collections.list(jar.entries())) {
                String name = entry.getName();
                if (!name.endsWith(".class") || name.contains("-")) {
                    continue;
                }
                try {
                    Class.forName(name.substring(0, name.length() - 6).replace('/', '.'), false, loader);
                } catch (LinkageError | ClassNotFoundException optional) {
                    // Needs a library that is not there; Kafka does not load it either.
                }
            }
        }
    }
}
