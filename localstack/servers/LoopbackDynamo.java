import com.amazonaws.services.dynamodbv2.local.main.ServerRunner;
import java.lang.reflect.Field;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;

/** DynamoDB Local listens on every interface, and has no option for it. This starts it on the loopback interface only. */
public final class LoopbackDynamo {
    public static void main(String[] args) throws Exception {
        var dynamo = ServerRunner.createServerFromCommandLineArgs(args);
        Field jetty = dynamo.getClass().getDeclaredField("server");
        jetty.setAccessible(true);
        for (Connector connector : ((Server) jetty.get(dynamo)).getConnectors()) {
            connector.setHost("127.0.0.1");
        }
        dynamo.start();
        dynamo.join();
    }
}
