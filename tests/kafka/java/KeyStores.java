import java.io.ByteArrayInputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;

/**
 * Makes the stores that brokers of every age can read from PEM files: {@code KeyStores PASSWORD FROM TO CA NAME...}.
 *
 * <p>CA.pem becomes a store of certificates to trust, NAME.pem and NAME.key a store with a key.
 */
public final class KeyStores {
    public static void main(String[] args) throws Exception {
        char[] password = args[0].toCharArray();
        Path from = Path.of(args[1]);
        Path to = Path.of(args[2]);
        KeyStore trusted = empty();
        trusted.setCertificateEntry(args[3], chain(from.resolve(args[3] + ".pem"))[0]);
        write(trusted, password, to.resolve(args[3] + ".p12"));
        for (int i = 4; i < args.length; i++) {
            KeyStore own = empty();
            Certificate[] chain = chain(from.resolve(args[i] + ".pem"));
            String algorithm = chain[0].getPublicKey().getAlgorithm();
            own.setKeyEntry(args[i], key(from.resolve(args[i] + ".key"), algorithm), password, chain);
            write(own, password, to.resolve(args[i] + ".p12"));
        }
    }

    private static KeyStore empty() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    private static Certificate[] chain(Path pem) throws Exception {
        ByteArrayInputStream in = new ByteArrayInputStream(Files.readAllBytes(pem));
        return CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new Certificate[0]);
    }

    private static PrivateKey key(Path pem, String algorithm) throws Exception {
        String text = new String(Files.readAllBytes(pem), StandardCharsets.US_ASCII);
        byte[] der = Base64.getMimeDecoder().decode(text.replaceAll("-----[A-Z ]+-----", ""));
        return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(der));
    }

    /** Beside the target first: a broker must never read half a store. */
    private static void write(KeyStore store, char[] password, Path target) throws Exception {
        Path aside = target.resolveSibling(target.getFileName() + ".tmp");
        try (OutputStream out = Files.newOutputStream(aside)) {
            store.store(out, password);
        }
        Files.move(aside, target, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    }
}
